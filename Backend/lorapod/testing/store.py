"""State in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from lorapod.lease import LeaseLost
from lorapod.processes.store.port import Heartbeat, RecordExists, StateStore
from lorapod.records.process_id import age_key
from lorapod.records.record import ProcessRecord


def open_memory_store() -> StateStore:
    """State that workers of one process can share."""
    return StateStore(
        records=MemoryRecords(), orders=MemoryOrders(), heartbeats=MemoryHeartbeats(), mailbox=MemoryMailbox()
    )


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
            RecordExists: it was begun already, or the process was forgotten.
        """
        with self._lock:
            forgotten = record.generation > 1 and record.process_id not in self._records
            if forgotten or self._generation(record) >= record.generation:
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
        """Return the record as last saved."""
        return self._records.get(process_id)

    def ids(self) -> Sequence[str]:
        """Return every id, newest first."""
        return sorted(self._records, key=age_key, reverse=True)

    def live_ids(self) -> Sequence[str]:
        """Return the ids of processes that have not ended."""
        return [process_id for process_id in self.ids() if not self._records[process_id].status.final]

    def forget(self, record: ProcessRecord) -> None:
        """Remove the record and its key.

        Raises:
            LeaseLost: a newer generation has begun.
        """
        with self._lock:
            if self._generation(record) > record.generation:
                raise LeaseLost(record.process_id)
            self._records.pop(record.process_id, None)
            if record.key is not None and self._keys.get(record.key) == record.process_id:
                del self._keys[record.key]

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind the key, unless it is bound."""
        with self._lock:
            return self._keys.setdefault(key, process_id)

    def _generation(self, record: ProcessRecord) -> int:
        known = self._records.get(record.process_id)
        return known.generation if known else 0


class MemoryOrders:
    """A `lorapod.processes.store.port.OrderStore` that forgets with its process."""

    def __init__(self) -> None:
        """Begin empty."""
        self._orders: dict[str, bytes] = {}

    def keep(self, process_id: str, order: bytes) -> None:
        """Keep an order."""
        self._orders[process_id] = order

    def read(self, process_id: str) -> bytes | None:
        """Return the order of a process."""
        return self._orders.get(process_id)


class MemoryHeartbeats:
    """A `lorapod.processes.store.port.HeartbeatStore` that forgets with its process."""

    def __init__(self) -> None:
        """Begin empty."""
        self._beats: dict[str, Heartbeat] = {}

    def write(self, holder: str, beat: Heartbeat) -> None:
        """Replace the worker's heartbeat."""
        self._beats[holder] = beat

    def read(self, holder: str) -> Heartbeat | None:
        """Return the worker's last heartbeat."""
        return self._beats.get(holder)

    def forget(self, holder: str) -> None:
        """Remove a worker's heartbeat."""
        self._beats.pop(holder, None)

    def holders(self) -> Sequence[str]:
        """Return the workers that have a heartbeat."""
        return list(self._beats)


class MemoryMailbox:
    """A `lorapod.processes.store.port.Mailbox` that forgets with its process."""

    def __init__(self) -> None:
        """Begin empty."""
        self._letters: dict[str, list[Mapping[str, Any]]] = {}
        self._lock = threading.Lock()

    def post(self, process_id: str, message: Mapping[str, Any]) -> None:
        """Leave a message."""
        with self._lock:
            self._letters.setdefault(process_id, []).append(dict(message))

    def take(self, process_id: str) -> Sequence[Mapping[str, Any]]:
        """Return every message, oldest first, and remove it."""
        with self._lock:
            return self._letters.pop(process_id, [])
