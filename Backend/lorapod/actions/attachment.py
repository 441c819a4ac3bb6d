"""A RunPod job that stays open while its process runs, and reports the progress."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from lorapod.actions.action import RunPodJob
from lorapod.errors import Conflict
from lorapod.events.runpod import JobUpdates, RunPodSink
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted
from lorapod.processes.requests import ControlRequest
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.thread_pools import CONTROL, STARTS
from lorapod.volume.process_view import summary

logger = logging.getLogger(__name__)


StartedT = TypeVar("StartedT", bound=tuple[Accepted, object])


@dataclass(frozen=True, kw_only=True)
class JobAttachment:
    """What keeps a RunPod job open while its process runs, and stops the process if the job is cancelled."""

    processes: RealProcessManager
    updates: RunPodSink
    #: Seconds that the process of a cancelled job has for a checkpoint.
    cancel_grace_s: float

    async def begin(self, submit: Callable[[], StartedT]) -> StartedT:
        """Run `submit`, which starts a process, in a thread; return what it returns.

        If the RunPod job is cancelled meanwhile, no caller will ever ask for the process: it is stopped.
        """
        submitting = asyncio.ensure_future(STARTS.run(submit))
        try:
            return await asyncio.shield(submitting)
        except asyncio.CancelledError:
            submitting.add_done_callback(self._stop_orphan)
            raise

    async def stay(
        self, process_id: str, job: RunPodJob, *, report_every_s: float | None = None
    ) -> ProcessRecord:
        """Wait for the end of a process, and report its progress to the job.

        `report_every_s` is the longest time between two progress updates while the process runs; None:
        `PROGRESS_INTERVAL_S`, and only if something has changed.

        A cancelled or timed-out RunPod job cancels this coroutine: the process is then stopped, with a checkpoint if
        its trainer can write one, and the cancellation is raised again.
        """
        try:
            with self.updates.attach(process_id, job.show, interval_max_s=report_every_s) as updates:
                keeping = asyncio.create_task(updates.keep_current())
                try:
                    return await self.processes.wait_until(
                        process_id,
                        lambda record: record.status.final,
                        partial(_show, updates, steady=report_every_s is not None),
                    )
                finally:
                    keeping.cancel()
        except asyncio.CancelledError:
            logger.info("job was cancelled", extra={"job_id": job.job_id, "process_id": process_id})
            await asyncio.shield(CONTROL.run(self._cancel, process_id))
            raise

    def _stop_orphan(self, submitted: asyncio.Future[StartedT]) -> None:
        if submitted.cancelled() or submitted.exception() is not None:
            return
        accepted = submitted.result()[0]
        # A process that another request began belongs to that request.
        if accepted.begun or accepted.retried:
            threading.Thread(target=self._cancel, args=(accepted.record.process_id,), name="orphan").start()

    def _cancel(self, process_id: str) -> None:
        try:
            self.processes.ask(process_id, ControlRequest(save=True, grace_s=self.cancel_grace_s))
        except Conflict:
            logger.debug("process had ended already", extra={"process_id": process_id})


def _show(updates: JobUpdates, record: ProcessRecord, *, steady: bool) -> None:
    updates.show(
        (record.status, record.phase, record.progress.node is not None),
        lambda: summary(record).model_dump(mode="json", exclude_none=True),
        # One that waits for its turn may do so for hours.
        steady=steady and record.status is ProcessStatus.RUNNING,
    )
