"""A RunPod job that stays open while its process runs, and tells how far it is."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from lorapod.actions.action import Job
from lorapod.actions.process_view import summary
from lorapod.actions.services import Services
from lorapod.clock import Clock
from lorapod.errors import Conflict
from lorapod.processes.accepted import Accepted
from lorapod.processes.listening import wait_until
from lorapod.processes.record import ProcessRecord
from lorapod.processes.requests import ControlRequest

logger = logging.getLogger(__name__)


class ProgressReporter:
    """Sends numbered progress updates: at once, at every change of state or phase, else now and then.

    RunPod's SDK sends each update in a thread of its own, so they can overtake each other: `sequence` tells the order.
    """

    def __init__(self, job: Job, clock: Clock, *, interval_s: float) -> None:
        """Send to `job`, at least `interval_s` seconds apart where only the progress changed."""
        self._job = job
        self._clock = clock
        self._interval_s = interval_s
        self._sequence = 0
        self._last: tuple[object, object] | None = None
        self._due = 0.0

    def report(self, record: ProcessRecord) -> None:
        """Send the record's state, where it is time."""
        state = (record.status, record.phase)
        if state == self._last and self._clock.monotonic() < self._due:
            return
        self._last = state
        self._due = self._clock.monotonic() + self._interval_s
        self._sequence += 1
        self._job.progress(
            {**summary(record).model_dump(mode="json", exclude_none=True), "sequence": self._sequence}
        )


StartedT = TypeVar("StartedT", bound=tuple[Accepted, object])


async def begin(submit: Callable[[], StartedT], services: Services) -> StartedT:
    """Run `submit`, which starts a process, in a thread; what it returns.

    Where the RunPod job is cancelled meanwhile, nobody will ever ask for the process: it is stopped.
    """
    submitting = asyncio.ensure_future(asyncio.to_thread(submit))
    try:
        return await asyncio.shield(submitting)
    except asyncio.CancelledError:
        submitting.add_done_callback(lambda done: _stop_orphan(done, services))
        raise


async def stay_attached(process_id: str, services: Services, job: Job) -> ProcessRecord:
    """Wait for the end of a process, reporting on the way.

    A cancelled or timed-out RunPod job cancels this coroutine: then the process is stopped, with a checkpoint where
    its trainer can write one, and the cancellation goes on.
    """
    reporter = ProgressReporter(job, services.clock, interval_s=services.settings.progress_interval_s)
    try:
        return await wait_until(
            services.processes, process_id, lambda record: record.status.final, reporter.report
        )
    except asyncio.CancelledError:
        logger.info("job was cancelled", extra={"job_id": job.job_id, "process_id": process_id})
        await asyncio.shield(asyncio.to_thread(_cancel, process_id, services))
        raise


def _stop_orphan(submitted: asyncio.Future[StartedT], services: Services) -> None:
    if submitted.cancelled() or submitted.exception() is not None:
        return
    accepted = submitted.result()[0]
    # What another request began is not this one's to stop.
    if accepted.begun or accepted.retried:
        threading.Thread(target=_cancel, args=(accepted.record.process_id, services), name="orphan").start()


def _cancel(process_id: str, services: Services) -> None:
    try:
        services.processes.ask(
            process_id, ControlRequest(save=True, grace_s=services.settings.cancel_grace_s)
        )
    except Conflict:
        logger.debug("process had ended already", extra={"process_id": process_id})
