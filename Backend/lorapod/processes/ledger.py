"""The present record of one process, kept by its only writer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from lorapod.clock import Clock
from lorapod.processes.lease import Pulse
from lorapod.processes.record import ProcessRecord
from lorapod.processes.status import ProcessStatus
from lorapod.processes.store.port import LeaseLost, RecordStore

logger = logging.getLogger(__name__)

#: Between two writes of a record in which only the progress changed.
SAVE_INTERVAL_S = 2.0

#: After a write that failed, during which nothing is tried that can wait: a store that does not answer takes seconds
#: to say so, and meanwhile nobody reads what the child says.
RETRY_INTERVAL_S = 2.0


class Ledger:
    """Holds a record in RAM, and writes it while this worker holds the process; for one thread."""

    def __init__(
        self,
        record: ProcessRecord,
        store: RecordStore,
        pulse: Pulse,
        clock: Clock,
        on_change: Callable[[ProcessRecord], None],
    ) -> None:
        """Begin with a record that the store has; `on_change` is called after every change."""
        self.record = record
        #: Another worker has taken the process up: nothing more may be written about it.
        self.lost = False
        self._saved = record
        self._save_due = self._retry_due = 0.0
        self._stops = pulse.stops
        self._store = store
        self._pulse = pulse
        self._clock = clock
        self._on_change = on_change

    @property
    def current(self) -> bool:
        """Whether no other worker can have taken the process up since this one was last seen to hold it."""
        return not self.lost and self._pulse.holding and self._pulse.stops == self._stops

    @property
    def saved(self) -> bool:
        """Whether the store holds the present record."""
        return self._saved is self.record

    def move(self, status: ProcessStatus, **changes: Any) -> None:
        """Go on to the next state.

        Raises:
            IllegalTransition: the table of states has no such change.
        """
        self.change(self.record.moved(status, **changes))

    def end(self, status: ProcessStatus, **changes: Any) -> None:
        """Go on to a final state."""
        self.move(status, ended_at=self._clock.now(), phase=None, **changes)

    def change(self, record: ProcessRecord) -> None:
        """Make `record` the present one; on disk at once where its state changed, else now and then."""
        moved = record.status is not self.record.status
        self.record = record
        if moved:
            self.save()
        elif self._clock.monotonic() >= self._save_due:
            self.flush()
        self._on_change(record)

    def flush(self) -> None:
        """Write the present record, unless that failed a moment ago."""
        if self._clock.monotonic() >= self._retry_due:
            self.save()

    def settle(self, give_up: threading.Event) -> None:
        """See to it that an end is written which could not be when it came; until `give_up` is set."""
        due = not (self.saved or self.lost)
        while not (self.saved or self.lost or give_up.wait(SAVE_INTERVAL_S)):
            self.save()
        if due:
            self._on_change(self.record)

    def confirm(self) -> bool:
        """Whether this worker still holds the process, by writing the record once more.

        Raises:
            OSError: it cannot be written.
        """
        stops = self._pulse.stops
        try:
            self._store.save(self.record)
            self._stops = stops
        except LeaseLost:
            self.lost = True
        return not self.lost

    def save(self) -> None:
        """Write the present record, if it is not written yet and this worker holds the process."""
        if self.saved or self.lost:
            return
        self._save_due = self._clock.monotonic() + SAVE_INTERVAL_S
        try:
            if not self._pulse.holding:
                # The worker was frozen or cut off: a sign of life first, then see who holds the process now.
                self._pulse.revive()
            stops = self._pulse.stops
            self._store.save(self.record)
            self._saved, self._stops = self.record, stops
        except LeaseLost:
            logger.warning(
                "another worker has taken the process up", extra={"process_id": self.record.process_id}
            )
            self.lost = True
        except OSError as error:
            # A full disk must not end a training; the next change tries again.
            self._retry_due = self._clock.monotonic() + RETRY_INTERVAL_S
            logger.warning(
                "record cannot be saved", extra={"process_id": self.record.process_id, "reason": str(error)}
            )
