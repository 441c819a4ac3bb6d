"""Brings the real worker up behind the entry, and keeps it up."""

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

#: A job that finds a failure of so many seconds ago has it tried once more.
RETRY_AFTER_S = 60.0

#: Before a worker that ended by itself is started again; doubles with each time in a row.
RESTART_WAIT_S = 0.5
RESTART_WAIT_MAX_S = 30.0

#: A worker that was up for so long is not one that cannot start.
STEADY_S = 60.0


NOTHING_YET = BuildStage(step=BuildStep.WAITING)


class Readiness(StrEnum):
    """How far the real worker is."""

    #: Not begun yet.
    WAITING = "waiting"
    #: The environment is made.
    PREPARING = "preparing"
    #: The environment is there; the worker in it starts.
    STARTING = "starting"
    READY = "ready"
    #: Nothing happens until it is asked for again.
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class RunnerState:
    """One moment behind the entry; times are the monotonic clock's."""

    status: Readiness = Readiness.WAITING
    since_s: float
    stage: BuildStage = NOTHING_YET
    elsewhere: bool = False
    failure: WorkerError | None = None

    def remaining_s(self, now_s: float, known_s: float | None) -> float | None:
        """How long until jobs are taken; None: not known."""
        if self.status is Readiness.PREPARING:
            return remaining_s(self.stage.share, now_s - self.since_s, known_s)
        return None


class WorkerRunner:
    """Belongs to one event loop, as everything behind it does."""

    def __init__(self, settings: FastSettings, store: EnvironmentStore) -> None:
        """Begin nothing yet."""
        self._settings = settings
        self.store = store
        self.state = RunnerState(since_s=time.monotonic())
        #: How long such environments took before on this volume.
        self.known_s: float | None = None
        self._real_worker: RealWorker | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._closing = False

    def begin(self, *, again: bool = False) -> None:
        """See to it that the worker is being brought up, or is up. With `again`, in a new environment."""
        if self._closing or (self._task is not None and not self._task.done()):
            return
        self._set(RunnerState(status=Readiness.PREPARING, since_s=time.monotonic()))
        self._task = asyncio.create_task(self._run(again=again))

    async def rebuild(self) -> None:
        """Make another environment beside the one that is used; it counts for workers that start from then on.

        Raises:
            WorkerError: it cannot be made.
        """
        await prepare(self._settings, self.store, again=True, tell=lambda _news: None)

    def stale_failure(self) -> bool:
        """Whether it failed long enough ago to be worth another try."""
        state = self.state
        return state.status is Readiness.FAILED and time.monotonic() - state.since_s >= RETRY_AFTER_S

    def worker(self) -> RealWorker | None:
        """The worker, where it takes jobs.

        Raises:
            WorkerError: it will not, for the present.
        """
        if self._closing:
            raise Conflict("This worker is being stopped; send the request again.")
        if self.state.status is Readiness.FAILED:
            assert self.state.failure is not None
            raise self.state.failure
        return self._real_worker

    async def changed(self, timeout_s: float) -> None:
        """Wait for the next change, or for so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def close(self) -> None:
        """Stop what is being made, or have the worker stop its processes and end."""
        self._closing = True
        if self._real_worker is not None:
            self._real_worker.close()
        elif self._task is not None:
            self._task.cancel()
        self._set(self.state)

    def wait(self) -> None:
        """Wait for the end of the worker; for when the event loop is over."""
        if self._real_worker is not None:
            self._real_worker.wait(self._settings.shutdown_grace_s)

    async def _run(self, *, again: bool) -> None:
        try:
            await self._keep_up(again=again)
        except WorkerError as error:
            self._fail(error)
        except OSError as error:
            logger.exception("cannot bring the worker up")
            self._fail(InternalError(f"The real worker cannot be started: {error.strerror}."))
        except Exception:
            logger.exception("cannot bring the worker up")
            self._fail(InternalError())

    async def _keep_up(self, *, again: bool) -> None:
        wait_s = RESTART_WAIT_S
        while not self._closing:
            self.known_s = await asyncio.to_thread(self.store.former_duration_s)
            python = await prepare(self._settings, self.store, again=again, tell=self._tell)
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
            logger.warning("the real worker has ended; it is started again")
            self._set(RunnerState(status=Readiness.PREPARING, since_s=time.monotonic()))
            wait_s = RESTART_WAIT_S if time.monotonic() - began_s > STEADY_S else wait_s * 2
            await asyncio.sleep(min(wait_s, RESTART_WAIT_MAX_S))

    def _tell(self, news: BuildProgress) -> None:
        self._set(replace(self.state, stage=news.stage, elsewhere=news.elsewhere))

    def _fail(self, error: WorkerError) -> None:
        self._set(RunnerState(status=Readiness.FAILED, since_s=time.monotonic(), failure=error))

    def _set(self, state: RunnerState) -> None:
        self.state = state
        self._changed.set()
        self._changed = asyncio.Event()
