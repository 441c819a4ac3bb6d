"""The entry: the SDK's loop, which hands jobs to the front."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorapod.fast.building.environments import EnvironmentSpec, EnvironmentStore
from lorapod.fast.front import Front
from lorapod.fast.settings import BACKEND, FastSettings
from lorapod.fast.worker_runner import Readiness, WorkerRunner
from lorapod.journal import write_journal
from lorapod.safety.redaction import Redactor
from lorapod.sdk import import_runpod

logger = logging.getLogger(__name__)

#: The wait before the preparation begins, so that the first job, which is often there already, is answered first.
BEGIN_AFTER_S = 1.0


@dataclass(kw_only=True)
class FastEntry:
    """One worker, from the SDK's loop to the real worker behind it."""

    settings: FastSettings
    #: The log uses the same one.
    redactor: Redactor
    runner: WorkerRunner | None = None
    front: Front | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def open(self) -> Front:
        """Return the front, made at the first call inside the event loop; the preparation begins a little later."""
        if self.front is None:
            spec = EnvironmentSpec(
                lock=self.settings.lock, backend=BACKEND, environments=self.settings.environments
            )
            self.runner = WorkerRunner(self.settings, EnvironmentStore(spec))
            self.front = Front(self.settings, self.runner, self.redactor)
            self._tasks.add(asyncio.create_task(self._begin_later(self.runner)))
            self._close_at_sigterm(self.runner)
        return self.front

    async def answer(self, event: Any) -> dict[str, Any]:
        """Answer one event; this is the handler that the SDK calls."""

        def update(news: Mapping[str, Any]) -> None:
            if self.settings.serverless:
                import_runpod().serverless.progress_update(event, dict(news))

        return await self.open().answer(event, update)

    @staticmethod
    async def _begin_later(runner: WorkerRunner) -> None:
        await asyncio.sleep(BEGIN_AFTER_S)
        # A job may have begun the preparation meanwhile, and it may have failed already.
        if runner.state.status is Readiness.WAITING:
            runner.begin()

    @staticmethod
    def _close_at_sigterm(runner: WorkerRunner) -> None:
        """Let SIGTERM stop the runner, too; the SDK's own handler only waits for the jobs in flight."""
        before = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def stop(number: int, frame: Any) -> None:
            if callable(before):
                before(number, frame)
            loop.call_soon_threadsafe(runner.close)

        signal.signal(signal.SIGTERM, stop)


def serve(settings: FastSettings | None = None) -> None:
    """Serve RunPod jobs until the platform stops the worker."""
    settings = settings or FastSettings.from_environment(os.environ)
    redactor = Redactor(settings.secrets)
    write_journal(settings.log_level, redactor)
    entry = FastEntry(settings=settings, redactor=redactor)
    runpod = import_runpod()

    def concurrency(_current: int) -> int:
        # The SDK calls this before it takes jobs, in its loop and after it has set its own signal handlers.
        entry.open()
        return settings.worker_concurrency

    runpod.serverless.start({"handler": entry.answer, "concurrency_modifier": concurrency})
    if entry.runner is not None:
        entry.runner.wait()
