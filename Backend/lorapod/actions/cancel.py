"""`cancel`: stop a process, with a checkpoint first if its trainer can write one."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from pydantic import Field

from lorapod.actions.action import Action
from lorapod.errors import Conflict, NotFound
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.requests import ControlRequest
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.thread_pools import CONTROL
from lorapod.wire.control import CancelResult
from lorapod.wire.model import ProcessRequest

#: Seconds to wait for the first step of the worker that holds it; workers look for messages every second.
ACKNOWLEDGE_S = 4.0


class CancelRequest(ProcessRequest):
    """The process to stop, and how."""

    save: bool = Field(default=True, description="Write a checkpoint first, if the trainer can.")
    grace_s: float | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Seconds for the checkpoint, and again for an orderly exit; then it is killed.",
    )


async def cancel(
    request: CancelRequest, *, processes: RealProcessManager, settings: Settings
) -> CancelResult:
    """Ask the worker that holds the process, and answer once it has begun to act."""
    grace_s = settings.cancel_grace_s if request.grace_s is None else request.grace_s
    asked = ControlRequest(save=request.save, grace_s=grace_s)
    record = await CONTROL.run(_ask, processes, request.process_id, asked)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ACKNOWLEDGE_S):
            record = await processes.wait_until(request.process_id, _acknowledged)
    return CancelResult(process_id=record.process_id, status=record.status.value)


def _ask(processes: RealProcessManager, process_id: str, asked: ControlRequest) -> ProcessRecord:
    record = processes.ask(process_id, asked)
    # The worker of a sweep stops its trainings; if it is dead, other workers may have taken them up.
    by_sweep = replace(asked, by_sweep=True)
    for training in reversed(record.outcome.get("processes", ()) if record.type == "sweep" else ()):
        with contextlib.suppress(Conflict, NotFound):
            processes.ask(training.get("process_id", ""), by_sweep)
    return record


def _acknowledged(record: ProcessRecord) -> bool:
    return record.status.final or record.status is ProcessStatus.STOPPING


ACTION = Action(
    type="cancel",
    summary="Stop a process, or all trainings of a sweep; what it has written stays, and it can be resumed.",
    request=CancelRequest,
    result=CancelResult,
    run=cancel,
    destroys=True,
)
