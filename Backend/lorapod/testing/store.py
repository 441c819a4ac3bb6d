"""Records in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from lorapod.processes.ids import age_key
from lorapod.processes.record import ProcessRecord
from lorapod.processes.store.port import LeaseLost, RecordExists


class MemoryRecords:
    """A `lorapod.processes.store.port.RecordStore` that forgets with its process."""

    def __init__(self) -> None:
        """Begin empty."""
        self._records: dict[str, ProcessRecord] = {}
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()

    def create(self, record: ProcessRecord) -> None:
        """Begin a generation.

        Raises:
            RecordExists: it was begun already.
        """
        with self._lock:
            if self._generation(record) >= record.generation:
                raise RecordExists(record.process_id)
            self._records[record.process_id] = record

    def save(self, record: ProcessRecord) -> None:
        """Replace the record.

        Raises:
            LeaseLost: a newer generation has begun.
        """
        with self._lock:
            if self._generation(record) > record.generation:
                raise LeaseLost(record.process_id)
            self._records[record.process_id] = record

    def load(self, process_id: str) -> ProcessRecord | None:
        """The record as last saved."""
        return self._records.get(process_id)

    def ids(self) -> Sequence[str]:
        """Every id, newest first."""
        return sorted(self._records, key=age_key, reverse=True)

    def live_ids(self) -> Sequence[str]:
        """The ids of those that have not ended."""
        return [process_id for process_id in self.ids() if not self._records[process_id].status.final]

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind the key, unless it is bound."""
        with self._lock:
            return self._keys.setdefault(key, process_id)

    def _generation(self, record: ProcessRecord) -> int:
        known = self._records.get(record.process_id)
        return known.generation if known else 0
