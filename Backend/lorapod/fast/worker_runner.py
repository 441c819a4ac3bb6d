"""Prepares and starts the real worker behind the entry, and restarts it when it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from enum import StrEnum

from lorapod.errors import Conflict, InternalError, WorkerError
from lorapod.fast.building.environments import EnvironmentStore
from lorapod.fast.building.steps import BuildStage, BuildStep, remaining_s
from lorapod.fast.preparation import BuildProgress, prepare
from lorapod.fast.real_worker import RealWorker
from lorapod.fast.settings import FastSettings

logger = logging.getLogger(__name__)

#: A job that comes this long after a failure causes another try.
RETRY_AFTER_S = 60.0

#: The wait before a worker that ended by itself is restarted; it doubles with each end in a row.
RESTART_WAIT_S = 0.5
RESTART_WAIT_MAX_S = 30.0

#: After this time a worker's end does not count as a failed start.
STEADY_S = 60.0


NOTHING_YET = BuildStage(step=BuildStep.WAITING)


class Readiness(StrEnum):
    """The state of the real worker."""

    #: The preparation has not begun.
    WAITING = "waiting"
    #: The environment is being made.
    PREPARING = "preparing"
    #: The environment is ready; the worker in it is starting.
    STARTING = "starting"
    READY = "ready"
    #: Nothing happens until somebody asks for another try.
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class RunnerState:
    """The state behind the entry at one moment; times are from the monotonic clock."""

    status: Readiness = Readiness.WAITING
    since_s: float
    stage: BuildStage = NOTHING_YET
    elsewhere: bool = False
    failure: WorkerError | None = None

    def remaining_s(self, now_s: float, known_s: float | None) -> float | None:
        """Return how long it takes until jobs are accepted, or None if that is not known."""
        if self.status is Readiness.PREPARING:
            return remaining_s(self.stage.share, now_s - self.since_s, known_s)
        return None


class WorkerRunner:
    """The runner of the real worker; use it in one event loop only."""

    def __init__(self, settings: FastSettings, store: EnvironmentStore) -> None:
        """Prepare nothing before `begin`."""
        self._settings = settings
        self.store = store
        self.state = RunnerState(since_s=time.monotonic())
        #: How long former environments took on this volume.
        self.known_s: float | None = None
        self._real_worker: RealWorker | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._closing = False

    def begin(self, *, again: bool = False) -> None:
        """Start to prepare the worker unless that has begun; with `again`, in a new environment."""
        if self._closing or (self._task is not None and not self._task.done()):
            return
        self._set(RunnerState(status=Readiness.PREPARING, since_s=time.monotonic()))
        self._task = asyncio.create_task(self._run(again=again))

    async def rebuild(self) -> None:
        """Make another environment; workers that start from then on use it.

        Raises:
            WorkerError: the environment cannot be made.
        """
        await prepare(self._settings, self.store, again=True, report=lambda _progress: None)

    def stale_failure(self) -> bool:
        """Return whether the last failure is old enough for another try."""
        state = self.state
        return state.status is Readiness.FAILED and time.monotonic() - state.since_s >= RETRY_AFTER_S

    def worker(self) -> RealWorker | None:
        """Return the worker if it accepts jobs, else None.

        Raises:
            WorkerError: its preparation has failed, or it is being stopped.
        """
        if self._closing:
            raise Conflict("This worker is being stopped; send the request again.")
        if self.state.status is Readiness.FAILED:
            assert self.state.failure is not None
            raise self.state.failure
        return self._real_worker

    async def changed(self, timeout_s: float) -> None:
        """Wait for the next change, but not longer than `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def close(self) -> None:
        """Stop the preparation, or have the worker stop its processes and end."""
        self._closing = True
        if self._real_worker is not None:
            self._real_worker.close()
        elif self._task is not None:
            self._task.cancel()
        self._set(self.state)

    def wait(self) -> None:
        """Wait for the end of the worker; call this after the end of the event loop."""
        if self._real_worker is not None:
            self._real_worker.wait(self._settings.shutdown_grace_s)

    async def _run(self, *, again: bool) -> None:
        try:
            await self._keep_up(again=again)
        except WorkerError as error:
            self._fail(error)
        except OSError as error:
            logger.exception("the real worker cannot be started")
            self._fail(InternalError(f"The real worker cannot be started: {error.strerror}."))
        except Exception:
            logger.exception("the real worker cannot be started")
            self._fail(InternalError())

    async def _keep_up(self, *, again: bool) -> None:
        wait_s = RESTART_WAIT_S
        while not self._closing:
            self.known_s = await asyncio.to_thread(self.store.former_duration_s)
            python = await prepare(self._settings, self.store, again=again, report=self._report)
            again = False
            self._set(RunnerState(status=Readiness.STARTING, since_s=time.monotonic()))
            self._real_worker = inner = await RealWorker.start(python, worker_id=self._settings.worker_id)
            began_s = time.monotonic()
            logger.info("the real worker is up", extra={"python": str(python)})
            self._set(RunnerState(status=Readiness.READY, since_s=began_s))
            await inner.ended()
            if self._closing:
                return
            self._real_worker = None
            logger.warning("the real worker has ended; it is restarted")
            self._set(RunnerState(status=Readiness.PREPARING, since_s=time.monotonic()))
            wait_s = RESTART_WAIT_S if time.monotonic() - began_s > STEADY_S else wait_s * 2
            await asyncio.sleep(min(wait_s, RESTART_WAIT_MAX_S))

    def _report(self, progress: BuildProgress) -> None:
        self._set(replace(self.state, stage=progress.stage, elsewhere=progress.elsewhere))

    def _fail(self, error: WorkerError) -> None:
        self._set(RunnerState(status=Readiness.FAILED, since_s=time.monotonic(), failure=error))

    def _set(self, state: RunnerState) -> None:
        self.state = state
        self._changed.set()
        self._changed = asyncio.Event()
