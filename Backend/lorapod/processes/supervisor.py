"""The supervisor: one thread that takes one process from the queue to its end."""

from __future__ import annotations

import logging
import threading

from lorapod.errors import ErrorCode
from lorapod.lease import LeaseLost, LeaseState
from lorapod.processes.changes import Change, ChangeQueue
from lorapod.processes.context import ProcessContext
from lorapod.processes.ledger import Ledger
from lorapod.processes.pump import Waker
from lorapod.processes.requests import Capability
from lorapod.processes.run import Run
from lorapod.processes.slots import GpuResident, SlotWait
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.processes.work import Ending, Work
from lorapod.records.progress import Failure
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus

logger = logging.getLogger(__name__)


class Supervisor:
    """Runs the work of one process; the only writer of its record while it does."""

    def __init__(
        self,
        record: ProcessRecord,
        work: Work,
        context: ProcessContext,
        changes: ChangeQueue,
    ) -> None:
        """Supervise a record in state `queued`; put every change of it into `changes`."""
        self._work = work
        self._context = context
        self._changes = changes
        self._ledger = Ledger(record, context.store.records, context.pulse, context.clock, self._changed)
        self._stop: StopRequest | None = None
        self._stopping = threading.Lock()
        first = context.fetches if work.fetches else context.slots
        self._slot_wait = SlotWait(first, lambda: self._stop is not None)
        self._waker = Waker()
        self._running: Run | None = None
        self._closing = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=record.process_id, daemon=True)

    @property
    def record(self) -> ProcessRecord:
        """The present record."""
        return self._ledger.record

    @property
    def needs_slot(self) -> bool:
        """Whether it holds a GPU or waits for one."""
        in_line = self._work.needs_slot and self._slot_wait.line is self._context.slots
        return in_line and not self.record.status.final

    @property
    def resident(self) -> GpuResident | None:
        """What it leaves loaded on the GPU; None: nothing."""
        return self._work.resident

    @property
    def lease(self) -> LeaseState:
        """What this worker knows of its lease of the process."""
        return self._ledger.lease.state

    def check_lease(self) -> LeaseState:
        """Return the same; if it is uncertain, look at the store first. Any thread."""
        return self._ledger.check_lease() if self._begun else self.lease

    @property
    def saved(self) -> bool:
        """Whether the present record is in the store."""
        return self._ledger.saved

    @property
    def _begun(self) -> bool:
        """Whether its generation has surely begun; before that nothing may be written of it."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Start the thread; return at once."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, also of what has not begun yet; return whether it was reached in time. Any thread."""
        return self._over.wait(timeout_s)

    def discard(self) -> None:
        """Let go of everything: the process could not be begun."""
        self._context.pulse.unfollow(self.heard)
        self._waker.close()
        self._over.set()

    def stop(self, request: StopRequest) -> None:
        """Have the process stopped; several requests become one, see `StopRequest.merged`. Any thread.

        A cancel, and a limit that is reached, are written to the record before this returns: neither a shutdown nor the
        worker's death undoes them.
        """
        ends_it = request.reason is not StopReason.SHUTDOWN
        cancelled = ends_it and self._ledger.note_cancel(request.reason.told)
        with self._stopping:
            self._stop = request if self._stop is None else self._stop.merged(request)
        if request.reason is StopReason.SHUTDOWN:
            self._closing.set()
        self._context.slots.wake()
        self._context.fetches.wake()
        self._waker.wake()
        if cancelled and self._begun:
            # Last, because a store that does not answer must not delay the stop itself.
            self._ledger.save()

    def want(self, capability: Capability) -> None:
        """Ask the running trainer for a checkpoint or samples. Any thread."""
        if (run := self._running) is not None:
            run.wanted.add(capability)
        self._waker.wake()

    def kill(self) -> None:
        """End the child's group at once. Any thread."""
        if (run := self._running) is not None:
            run.kill()

    def heard(self, beat_s: float) -> None:
        """Pass this worker's heartbeat on to the child's guard. Any thread."""
        if (run := self._running) is not None:
            run.heard(beat_s)

    def _run(self) -> None:
        try:
            with self._context.redactor.holding(self._work.secrets):
                self._wait_and_work()
        except Exception:
            logger.exception("supervisor failed", extra={"process_id": self.record.process_id})
            self.kill()
            if not self.record.status.final:
                message = "The worker met a defect while it ran this process; its log has the details."
                self._end(
                    Ending(
                        status=ProcessStatus.FAILED,
                        failure=Failure(code=ErrorCode.INTERNAL, message=message),
                    )
                )
        finally:
            try:
                self._clean_up()
            finally:
                self._over.set()

    def _clean_up(self) -> None:
        try:
            self._work.over(self.record, lost=self.lease is LeaseState.LOST)
        except Exception:
            logger.exception("cleaning up failed", extra={"process_id": self.record.process_id})
        self._context.pulse.unfollow(self.heard)
        self._waker.close()
        self._ledger.finish(self._closing)

    def _wait_and_work(self) -> None:
        work = self._work
        try:
            if work.needs_slot and not self._slot_wait.wait(None if work.fetches else work.resident):
                self._end(Ending.stopped(self._stop))
                return
            self._do()
        finally:
            self._slot_wait.end()

    def _do(self) -> None:
        context = self._context
        self._ledger.move(ProcessStatus.PREPARING, started_at=context.clock.now(), phase=Phase.STARTING)
        with context.open_log(self.record.process_id) as log:
            run = self._running = Run(
                context,
                self._ledger,
                log,
                self._slot_wait,
                stop=lambda: self._stop,
                waker=self._waker,
                listener=self.heard,
                started=lambda: self._changed(self.record, started=True),
                request_stop=self.stop,
            )
            try:
                ending = self._work.run(run)
            except LeaseLost:
                ending = Ending.stopped(None)
            self._running = None
            failure = context.masked(ending.failure)
            log.note(f"ended {ending.status}{f': {failure.message}' if failure else ''}")
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        status = ending.status
        if status is ProcessStatus.INTERRUPTED and self.record.cancel_requested:
            # Whatever ended it: its caller had cancelled it.
            status = ProcessStatus.CANCELLED
        self._ledger.end(status, failure=self._context.masked(ending.failure), **ending.changes)

    def _changed(self, record: ProcessRecord, *, started: bool = False) -> None:
        self._changes.put(Change(record=record, lease=self.lease, saved=self.saved, started=started))
