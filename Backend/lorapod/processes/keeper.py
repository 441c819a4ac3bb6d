"""One thread of a worker for what several workers share: control messages, and the processes of dead workers."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from lorapod.clock import Clock
from lorapod.lease import LeaseLost, LeaseState, LeaseTimes
from lorapod.processes.changes import guarded
from lorapod.processes.child import end_stray
from lorapod.processes.pulse import CLOSE_S, WorkerLiveness, this_host
from lorapod.processes.requests import ControlRequest
from lorapod.processes.store.port import RecordExists, StateStore
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus

logger = logging.getLogger(__name__)

#: How long a sweep waits for a killed child to be gone; the next sweep looks again.
STRAY_GRACE_S = 1.0


class Keeper:
    """A thread that sweeps about every second; its cost grows with the live processes, not with history."""

    def __init__(
        self,
        store: StateStore,
        times: LeaseTimes,
        clock: Clock,
        *,
        holder: str,
        held: Callable[[], frozenset[str]],
        lease: Callable[[str], LeaseState],
        deliver: Callable[[str, ControlRequest], None],
        end_expired: Callable[[], None],
        marked_dead: Callable[[ProcessRecord], None],
    ) -> None:
        """Do nothing before `start`.

        Args:
            store: the state that the workers share.
            times: of the workers' leases.
            clock: the time.
            holder: the name of this worker in records.
            held: returns the processes that this worker holds, or believes to hold.
            lease: returns the state of one of their leases; unless it is held, its messages are for another worker.
            deliver: is called with every message about one of them.
            end_expired: is called at each sweep, and ends those of them whose time is over.
            marked_dead: is called with the record of every process whose worker has died, once the record says so.
        """
        self._store = store
        self._times = times
        self._clock = clock
        self._holder = holder
        self._held = held
        self._lease = lease
        self._deliver = deliver
        self._end_expired = end_expired
        self._marked_dead = marked_dead
        self._liveness = WorkerLiveness(store.heartbeats, times, clock)
        #: Processes that were listed as live at the last sweep although they had ended.
        self._ended: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the thread; return at once."""
        self._thread.start()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Stop the thread; wait for a sweep that is under way, but not beyond `timeout_s`."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def sweep(self) -> None:
        """Deliver this worker's messages, and mark the processes of dead workers as interrupted or cancelled.

        Raises:
            OSError: the store does not answer.
        """
        self._end_expired()
        held = self._held()
        for process_id in held:
            if self._lease(process_id) is LeaseState.HELD:
                for request in ControlRequest.all_of(self._store.mailbox.take(process_id)):
                    self._deliver(process_id, request)
        dead: dict[str, bool] = {}
        ended = set()
        for process_id in self._store.records.live_ids():
            record = None if process_id in held else self._store.records.load(process_id)
            if record is None:
                continue
            if record.status.final:
                ended.add(process_id)
            elif self._forgotten(record) or (
                record.holder != self._holder and self._is_dead(record.holder, dead)
            ):
                self._mark_dead(record)
        self._unmark(ended)
        for holder in self._store.heartbeats.holders():
            if self._is_dead(holder, dead) and holder != self._holder:
                self._store.heartbeats.forget(holder)
        self._liveness.forget_all_but(dead)

    def sweep_and_log(self) -> None:
        """Sweep; log what goes wrong: the next sweep tries again."""
        try:
            self.sweep()
        except OSError as error:
            logger.warning("sweep failed", extra={"reason": str(error)})
            # No worker could write its heartbeat either: give each that is alive the time to show it.
            self._liveness.forget_all_but(set())
        except Exception:
            logger.exception("sweep failed")

    def _is_dead(self, holder: str, known: dict[str, bool]) -> bool:
        """Ask once a sweep: all processes of a dead worker are marked together, before its heartbeat is removed."""
        if holder not in known:
            known[holder] = self._liveness.is_dead(holder)
        return known[holder]

    def _unmark(self, ended: set[str]) -> None:
        """Take what had ended at the last sweep already from the live list: its worker was killed before it could."""
        for process_id in ended & self._ended:
            if (record := self._store.records.load(process_id)) is not None and record.status.final:
                with contextlib.suppress(LeaseLost):
                    self._store.records.save(record)
        self._ended = ended

    def _run(self) -> None:
        while not self._closing.wait(self._times.sweep_s):
            self.sweep_and_log()

    def _forgotten(self, record: ProcessRecord) -> bool:
        """Return whether a record names this worker, which does not hold the process: its start failed halfway.

        The process may have begun since the sweep started, or even have ended; so the record is read again once it is
        known not to be held.
        """
        return (
            record.holder == self._holder
            and record.process_id not in self._held()
            and self._store.records.load(record.process_id) == record
        )

    def _mark_dead(self, record: ProcessRecord) -> None:
        """Write that a process of a dead worker was interrupted, or cancelled; of several workers, one succeeds."""
        # A child that is still there lost its guard too, or has only just been killed by it.
        if (
            record.host == this_host()
            and record.pid is not None
            and not end_stray(record.pid, record.pid_started, timeout_s=STRAY_GRACE_S)
        ):
            logger.warning("child does not die", extra={"process_id": record.process_id, "pid": record.pid})
            return
        requests = ControlRequest.all_of(self._store.mailbox.take(record.process_id))
        cancelled = record.cancel_requested or any(request.capability is None for request in requests)
        ended = record.moved(
            ProcessStatus.CANCELLED if cancelled else ProcessStatus.INTERRUPTED,
            generation=record.generation + 1,
            ended_at=self._clock.now(),
            phase=None,
            cancel_requested=cancelled,
        )
        try:
            self._store.records.create(ended)
        except RecordExists:
            self._hand_back(record.process_id, requests)
            return
        logger.warning(
            "worker died", extra={"process_id": record.process_id, "dead_worker_id": record.worker_id}
        )
        guarded(self._marked_dead, ended)

    def _hand_back(self, process_id: str, requests: list[ControlRequest]) -> None:
        """Pass on what was taken for a process that another worker was faster to mark dead: a cancel must not be lost."""
        record = self._store.records.load(process_id)
        if record is None or not any(request.capability is None for request in requests):
            return
        if not record.status.final:
            # It was resumed: its new holder acts on the messages.
            for request in requests:
                self._store.mailbox.post(process_id, request.message())
        elif record.status is ProcessStatus.INTERRUPTED:
            cancelled = record.moved(
                ProcessStatus.CANCELLED, generation=record.generation + 1, cancel_requested=True
            )
            try:
                self._store.records.create(cancelled)
            except RecordExists:
                self._hand_back(process_id, requests)
            else:
                guarded(self._marked_dead, cancelled)
