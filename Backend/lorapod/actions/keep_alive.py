"""`keep_alive`: hold a serverless worker, for a time or until its processes have ended."""

from __future__ import annotations

import asyncio
from typing import Self

from pydantic import Field, model_validator

from lorapod.actions.action import Action, RunPodJob
from lorapod.clock import Clock
from lorapod.engines.port import KeptWarm
from lorapod.engines.registry import EngineRegistry
from lorapod.errors import WorkerError
from lorapod.processes.manager import RealProcessManager
from lorapod.settings import Settings
from lorapod.thread_pools import REMOTE
from lorapod.wire.model import Request, Result, WireModel

#: Between two looks at whether a process is left.
LOOK_S = 1.0


class KeepAliveRequest(Request):
    """For how long."""

    duration_s: float | None = Field(default=None, gt=0, le=7 * 86_400, description="How long, in seconds.")
    until_idle: bool = Field(default=False, description="Hold it until this worker has no process left.")
    interval_s: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="Seconds between two progress updates, and between two pings of the engines.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.duration_s is None and not self.until_idle:
            raise ValueError("give duration_s, until_idle, or both: then it ends with whichever comes first")
        return self


class KeptEngineView(WireModel):
    """An engine that was kept warm."""

    name: str = Field(description="As `generate` names it.")
    pings: int = Field(description="How often it answered.")
    last_error: str | None = Field(
        default=None, description="Why it did not answer the last ping; left out if it did."
    )


class KeepAliveResult(Result):
    """How long it was, and what was left."""

    worker_id: str = Field(description="The worker that was held.")
    kept_alive_s: float = Field(description="For how many seconds.")
    processes: dict[str, int] = Field(description="This worker's live processes, counted by status.")
    engines: list[KeptEngineView] = Field(
        description="The engines that were pinged meanwhile: servers that unload their model if they are not used."
    )


async def keep_alive(
    request: KeepAliveRequest,
    *,
    processes: RealProcessManager,
    engines: EngineRegistry,
    settings: Settings,
    clock: Clock,
    job: RunPodJob,
) -> KeepAliveResult:
    """Keep the RunPod job open: RunPod never stops a worker that has one."""
    began_s = clock.monotonic()
    warmth = _Warmth(engines)
    due_s = began_s
    while True:
        kept_s = clock.monotonic() - began_s
        held = dict(processes.counts())
        timed_out = request.duration_s is not None and kept_s >= request.duration_s
        if timed_out or (request.until_idle and not held):
            return KeepAliveResult(
                worker_id=settings.worker_id,
                kept_alive_s=round(kept_s, 3),
                processes=held,
                engines=warmth.views(),
            )
        if clock.monotonic() >= due_s:
            due_s = clock.monotonic() + request.interval_s
            job.show({"worker_id": settings.worker_id, "kept_alive_s": round(kept_s, 3), "processes": held})
            await REMOTE.run(warmth.ping)
            continue
        left_s = LOOK_S if request.duration_s is None else request.duration_s - kept_s
        await asyncio.sleep(max(0.0, min(LOOK_S, left_s)))


class _Warmth:
    """Pings engines, and counts their answers."""

    def __init__(self, engines: EngineRegistry) -> None:
        self._engines = engines
        self._pings: dict[str, int] = {}
        self._errors: dict[str, str] = {}

    def ping(self) -> None:
        """Ping every available engine that would otherwise unload its model."""
        for engine in self._engines.values():
            if not isinstance(engine, KeptWarm) or not engine.probe().available:
                continue
            self._pings.setdefault(engine.name, 0)
            self._errors.pop(engine.name, None)
            try:
                engine.keep_warm()
            except WorkerError as error:
                self._errors[engine.name] = error.message
            else:
                self._pings[engine.name] += 1

    def views(self) -> list[KeptEngineView]:
        """Return what became of each engine."""
        return [
            KeptEngineView(name=name, pings=pings, last_error=self._errors.get(name))
            for name, pings in self._pings.items()
        ]


ACTION = Action(
    type="keep_alive",
    summary="Hold this worker, and keep its engines warm, for a time or until its processes have ended.",
    request=KeepAliveRequest,
    result=KeepAliveResult,
    run=keep_alive,
)
