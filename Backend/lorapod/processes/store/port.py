"""The port of the state that workers share: records, orders, heartbeats, and a mailbox.

A record has one writer at a time: the worker that holds its newest *generation*. A generation begins exactly once, with
the first record that a worker manages to `create`; writing to an older one raises `LeaseLost`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lorapod.records.record import ProcessRecord


class RecordExists(Exception):
    """This generation of the process has already begun, or the process was deleted meanwhile."""


class StateStoreUnavailable(OSError):
    """The server that keeps the state does not answer."""


class StateStoreRefused(StateStoreUnavailable):
    """The server that keeps the state answers with an error: a wrong password, no memory, a full disk."""


class RecordStore(Protocol):
    """The records of all processes."""

    def create(self, record: ProcessRecord) -> None:
        """Begin a generation with its first record; of several workers that try, one succeeds.

        Raises:
            RecordExists: the generation has begun (for the first one: the id is taken), or the process was deleted
                before a later one could begin.
        """

    def save(self, record: ProcessRecord) -> None:
        """Replace the record as a whole; it is on disk when this returns.

        Raises:
            LeaseLost: a newer generation has begun.
        """

    def load(self, process_id: str) -> ProcessRecord | None:
        """Return the record of the newest generation as last saved; None if it is missing or damaged."""

    def ids(self) -> Sequence[str]:
        """Return every id, newest first, without reading a record."""

    def live_ids(self) -> Sequence[str]:
        """Return the ids of the processes that have not ended; the others cost nothing."""

    def forget(self, record: ProcessRecord) -> None:
        """Remove an ended process: its record, order, messages and key. One that is gone already changes nothing.

        Raises:
            LeaseLost: a newer generation has begun; it stays.
        """

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind an idempotency key to a process unless it is bound; return the process that it is bound to."""


class OrderStore(Protocol):
    """The orders of all processes, so that any worker can resume a process."""

    def keep(self, process_id: str, order: bytes) -> None:
        """Write the order of a process that has a record."""

    def read(self, process_id: str) -> bytes | None:
        """Return the order of a process, or None."""


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """A sign of life of one worker."""

    #: Counts up: only its change shows that the worker is alive, because the clocks of two machines differ.
    count: int
    #: The machine and the process namespace in which `pid` is valid.
    host: str
    pid: int
    #: When that process started, in seconds since boot.
    pid_started: float | None


class HeartbeatStore(Protocol):
    """One heartbeat for each worker that holds processes."""

    def write(self, holder: str, beat: Heartbeat) -> None:
        """Replace the worker's heartbeat."""

    def read(self, holder: str) -> Heartbeat | None:
        """Return the worker's last heartbeat, or None."""

    def forget(self, holder: str) -> None:
        """Remove a worker's heartbeat."""

    def holders(self) -> Sequence[str]:
        """Return the workers whose heartbeats must be removed after their death; none if they expire by themselves."""


class Mailbox(Protocol):
    """Messages about a process to the worker that holds it."""

    def post(self, process_id: str, message: Mapping[str, Any]) -> None:
        """Leave a message for the holder; it stays until it is taken."""

    def take(self, process_id: str) -> Sequence[Mapping[str, Any]]:
        """Return every message, oldest first; each is handed out once, and a damaged one never."""


@dataclass(frozen=True, kw_only=True)
class StateStore:
    """All four stores; their methods raise OSError if the store cannot be reached or written."""

    records: RecordStore
    orders: OrderStore
    heartbeats: HeartbeatStore
    mailbox: Mailbox
