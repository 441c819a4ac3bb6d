"""`cancel`: stop a process, with a checkpoint first where its trainer can write one."""

from __future__ import annotations

import asyncio

from pydantic import Field

from lorapod.actions.action import Action, Job
from lorapod.actions.services import Services
from lorapod.wire.model import ProcessId, ProcessRequest, Result


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

    process_id: ProcessId
    status: str = Field(description="`stopping` while it ends, `cancelled` once it has.")


async def cancel(request: CancelRequest, services: Services, _job: Job) -> CancelResult:
    """Tell the supervisor, and answer when it has begun to act."""
    grace_s = services.settings.cancel_grace_s if request.grace_s is None else request.grace_s
    record = await asyncio.to_thread(
        services.processes.cancel, request.process_id, save=request.save, grace_s=grace_s
    )
    return CancelResult(process_id=record.process_id, status=record.status.value)


ACTION = Action(
    type="cancel",
    summary="Stop a process; it keeps what it has written and can be resumed.",
    request=CancelRequest,
    result=CancelResult,
    run=cancel,
)
