"""The present record of one process, and the lease under which its only writer keeps it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from lorapod.clock import Clock
from lorapod.lease import LeaseLost, LeaseState
from lorapod.processes.pulse import Pulse
from lorapod.processes.store.port import RecordStore
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus

logger = logging.getLogger(__name__)

#: Time between two writes of a record in which only the progress changed, in seconds.
SAVE_INTERVAL_S = 2.0

#: Time after a failed write in which only urgent ones are tried, in seconds: a store that does not answer blocks for
#: seconds, and meanwhile the child's output is not read.
RETRY_INTERVAL_S = 2.0


class Ledger:
    """The record in RAM, written to the store while this worker holds the process; for one thread, but for what says otherwise."""

    def __init__(
        self,
        record: ProcessRecord,
        store: RecordStore,
        pulse: Pulse,
        clock: Clock,
        on_change: Callable[[ProcessRecord], None],
    ) -> None:
        """Begin with a record that the store has; `on_change` is called after every change."""
        self._record = record
        self._cancel_requested, self._reason = record.cancel_requested, record.reason
        self._changing = threading.Lock()
        #: Whether this worker still holds the process; if it is `LOST`, nothing more may be written about it.
        self.lease = pulse.lease()
        self._saved = record
        #: Whether the last change was reported before it was written or the lease was lost.
        self._unsettled = False
        self._save_due = self._retry_due = 0.0
        self._store = store
        self._pulse = pulse
        self._clock = clock
        #: Held during a write, so that an older record never replaces a newer one.
        self._writing = threading.Lock()
        self._on_change = on_change

    @property
    def record(self) -> ProcessRecord:
        """The present record."""
        return self._record

    @property
    def saved(self) -> bool:
        """Return whether the store holds the present record."""
        return self._saved is self.record

    def move(self, status: ProcessStatus, **changes: Any) -> None:
        """Move to the next state.

        Raises:
            IllegalTransition: the table of states has no such change.
        """
        self.change(self.record.moved(status, **changes))

    def end(self, status: ProcessStatus, **changes: Any) -> None:
        """Move to a final state."""
        self.move(status, ended_at=self._clock.now(), phase=None, **changes)

    def change(self, record: ProcessRecord) -> None:
        """Make `record` the present one; on disk at once where its state changed, else now and then."""
        with self._changing:
            moved = record.status is not self._record.status
            if self._cancel_requested and not record.cancel_requested:
                record = record.changed(cancel_requested=True, reason=self._reason)
            self._record = record
        if moved:
            self.save()
        elif self._clock.monotonic() >= self._save_due:
            self.flush()
        # Before the call: another thread may settle it meanwhile, and then `finish` reports that.
        self._unsettled = self._unwritten
        self._on_change(record)

    def note_cancel(self, reason: str | None = None) -> bool:
        """Note in the record that the process is cancelled; return whether `save` has to follow. Any thread.

        `reason` is what ends it if no person does.
        """
        with self._changing:
            if self._record.status.final or self._record.cancel_requested:
                return False
            self._cancel_requested, self._reason = True, reason
            self._record = self._record.changed(cancel_requested=True, reason=reason)
        return True

    def flush(self) -> None:
        """Write the present record, unless a write failed within `RETRY_INTERVAL_S`."""
        if self._clock.monotonic() >= self._retry_due:
            self.save()

    def finish(self, give_up: threading.Event) -> None:
        """Retry to write an end that could not be written when it came, until `give_up` is set; report it then."""
        while self._unwritten and not give_up.wait(SAVE_INTERVAL_S):
            self.save()
        if self._unsettled:
            self._on_change(self.record)

    def confirm(self) -> None:
        """Make the lease certain by writing the record once more.

        Raises:
            LeaseLost: another worker has taken the process up.
            OSError: it cannot be written, so the lease stays as uncertain as it is.
        """
        self._write()
        if self.lease.state is LeaseState.LOST:
            raise LeaseLost(self.record.process_id)

    def check_lease(self) -> LeaseState:
        """Return the lease's state; if it is uncertain, try to make it certain first. Any thread."""
        if self.lease.state is LeaseState.UNCERTAIN:
            with contextlib.suppress(LeaseLost, OSError):
                self.confirm()
        return self.lease.state

    def save(self) -> None:
        """Write the present record, if it is not written yet and this worker holds the process."""
        if not self._unwritten:
            return
        self._save_due = self._clock.monotonic() + SAVE_INTERVAL_S
        try:
            self._write()
        except OSError as error:
            # A full disk must not end a training; the next change tries again.
            self._retry_due = self._clock.monotonic() + RETRY_INTERVAL_S
            logger.warning(
                "record cannot be saved", extra={"process_id": self.record.process_id, "reason": str(error)}
            )

    @property
    def _unwritten(self) -> bool:
        return not self.saved and self.lease.state is not LeaseState.LOST

    def _write(self) -> None:
        # The worker may have been frozen or cut off: first a heartbeat, then see who holds the process now.
        if self.lease.state is LeaseState.UNCERTAIN:
            self._pulse.revive()
        with self._writing:
            record = self.record
            if self.lease.confirm(lambda: self._store.save(record)) is LeaseState.LOST:
                logger.warning(
                    "another worker has taken the process up", extra={"process_id": record.process_id}
                )
            else:
                self._saved = record
