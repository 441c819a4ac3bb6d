"""`keep_alive`: hold a serverless worker, for a time or until its processes have ended."""

from __future__ import annotations

import asyncio
from typing import Self

from pydantic import Field, model_validator

from lorapod.actions.action import Action, Job
from lorapod.actions.services import Services
from lorapod.wire.model import Request, Result

#: Between two looks at whether a process is left.
LOOK_S = 1.0


class KeepAliveRequest(Request):
    """For how long."""

    duration_s: float | None = Field(default=None, gt=0, le=7 * 86_400, description="For so many seconds.")
    until_idle: bool = Field(default=False, description="Until no process of this worker is left.")
    interval_s: float = Field(default=30.0, ge=1, le=3600, description="Between two progress updates.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.duration_s is None and not self.until_idle:
            raise ValueError("give duration_s, until_idle, or both: then it ends with whichever comes first")
        return self


class KeepAliveResult(Result):
    """How long it was, and what was left."""

    worker_id: str = Field(description="The worker that was held.")
    kept_alive_s: float = Field(description="For how many seconds.")
    processes: dict[str, int] = Field(description="How many processes this worker still holds, by status.")


async def keep_alive(request: KeepAliveRequest, services: Services, job: Job) -> KeepAliveResult:
    """Keep the RunPod job open: RunPod never stops a worker that has one."""
    clock = services.clock
    began_s = reported_s = clock.monotonic()
    job.progress(_update(services, 0.0))
    while True:
        kept_s = clock.monotonic() - began_s
        held = dict(services.processes.counts())
        timed_out = request.duration_s is not None and kept_s >= request.duration_s
        if timed_out or (request.until_idle and not held):
            return KeepAliveResult(
                worker_id=services.settings.worker_id, kept_alive_s=round(kept_s, 3), processes=held
            )
        if clock.monotonic() - reported_s >= request.interval_s:
            reported_s = clock.monotonic()
            job.progress(_update(services, kept_s))
        left_s = LOOK_S if request.duration_s is None else request.duration_s - kept_s
        await asyncio.sleep(max(0.0, min(LOOK_S, left_s)))


def _update(services: Services, kept_s: float) -> dict[str, object]:
    return {
        "worker_id": services.settings.worker_id,
        "kept_alive_s": round(kept_s, 3),
        "processes": dict(services.processes.counts()),
    }


ACTION = Action(
    type="keep_alive",
    summary="Hold this worker for a time, or until its processes have ended.",
    request=KeepAliveRequest,
    result=KeepAliveResult,
    run=keep_alive,
)
