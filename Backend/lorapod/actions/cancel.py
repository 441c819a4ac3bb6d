"""`cancel`: stop a process, with a checkpoint first where its trainer can write one."""

from __future__ import annotations

import asyncio
import contextlib

from pydantic import Field

from lorapod.actions.action import Action
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.record import ProcessRecord
from lorapod.processes.requests import ControlRequest
from lorapod.processes.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.thread_pools import CONTROL
from lorapod.wire.model import ProcessId, ProcessRequest, Result

#: How long to wait for the holder's first step; another worker looks for messages every second.
ACKNOWLEDGE_S = 4.0


class CancelRequest(ProcessRequest):
    """Which process, and how."""

    save: bool = Field(default=True, description="Write a checkpoint first, where the trainer can.")
    grace_s: float | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Seconds for the checkpoint, and again for an orderly end; then it is killed.",
    )


class CancelResult(Result):
    """What was seen soon after."""

    process_id: ProcessId = Field(description="The process.")
    status: str = Field(
        description="What was observed soon after: `stopping` while it ends, then `cancelled`."
    )


async def cancel(
    request: CancelRequest, *, processes: RealProcessManager, settings: Settings
) -> CancelResult:
    """Tell whoever holds the process, and answer when it has begun to act."""
    grace_s = settings.cancel_grace_s if request.grace_s is None else request.grace_s
    asked = ControlRequest(save=request.save, grace_s=grace_s)
    record = await CONTROL.run(processes.ask, request.process_id, asked)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ACKNOWLEDGE_S):
            record = await processes.wait_until(request.process_id, _acknowledged)
    return CancelResult(process_id=record.process_id, status=record.status.value)


def _acknowledged(record: ProcessRecord) -> bool:
    return record.status.final or record.status is ProcessStatus.STOPPING


ACTION = Action(
    type="cancel",
    summary="Stop a process; it keeps what it has written and can be resumed.",
    request=CancelRequest,
    result=CancelResult,
    run=cancel,
)
