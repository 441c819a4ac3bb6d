"""What the process manager needs of the place where state is kept: records, orders, heartbeats, and a mailbox.

Several workers share one such place. A record has one writer at a time: whoever holds its newest *generation*. A
generation is begun exactly once, by whoever manages to `create` its first record, and a writer of an older one is
turned away with `LeaseLost`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lorapod.processes.record import ProcessRecord


class RecordExists(Exception):
    """That generation of that process has been begun already."""


class LeaseLost(Exception):
    """Another worker has begun a newer generation of the process; this one must not write any more."""


class StateStoreUnavailable(OSError):
    """The server that keeps the state does not answer."""


class StateStoreRefused(StateStoreUnavailable):
    """The server that keeps the state answers with an error: a wrong password, no memory, a full disk."""


class RecordStore(Protocol):
    """Keeps records."""

    def create(self, record: ProcessRecord) -> None:
        """Begin a generation: keep its first record; of several workers that try, one succeeds.

        Raises:
            RecordExists: the generation is taken (for the first one: the id is).
        """

    def save(self, record: ProcessRecord) -> None:
        """Replace the record, all or nothing; it is on disk when this returns.

        Raises:
            LeaseLost: a newer generation has begun.
        """

    def load(self, process_id: str) -> ProcessRecord | None:
        """The record of the newest generation as last saved; None where there is none or it is damaged."""

    def ids(self) -> Sequence[str]:
        """Every id, newest first, without reading a record."""

    def live_ids(self) -> Sequence[str]:
        """The ids of records whose last saved state was not a final one; costs nothing for the others."""

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind an idempotency key to a process, unless it is bound already; the process it is bound to."""


class OrderStore(Protocol):
    """Keeps what each process was asked to be, so that any worker can take it up again."""

    def keep(self, process_id: str, order: bytes) -> None:
        """Keep the order of a process whose record there is."""

    def read(self, process_id: str) -> bytes | None:
        """The order of a process; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """A sign of life of one worker."""

    #: Counts up; the only thing that tells life from death, since two machines' clocks differ.
    count: int
    #: Names the machine and the process namespace in which `pid` means something.
    host: str
    pid: int
    #: When that process started, in seconds since boot.
    pid_started: float | None


class HeartbeatStore(Protocol):
    """Keeps one heartbeat for each worker that holds processes."""

    def write(self, holder: str, beat: Heartbeat) -> None:
        """Replace the worker's heartbeat."""

    def read(self, holder: str) -> Heartbeat | None:
        """The worker's last heartbeat; None where there is none."""

    def forget(self, holder: str) -> None:
        """Remove a worker's heartbeat."""

    def holders(self) -> Sequence[str]:
        """The workers whose heartbeats somebody has to remove one day; none where the place does so by itself."""


class Mailbox(Protocol):
    """Carries requests about a process to the worker that holds it."""

    def post(self, process_id: str, message: Mapping[str, Any]) -> None:
        """Leave a message for the holder; it lies there until it is taken."""

    def take(self, process_id: str) -> Sequence[Mapping[str, Any]]:
        """Every message that has come, oldest first; each is handed out once, and what is damaged never."""


@dataclass(frozen=True, kw_only=True)
class StateStore:
    """The four together; the methods of all raise OSError where the place cannot be reached or written."""

    records: RecordStore
    orders: OrderStore
    heartbeats: HeartbeatStore
    mailbox: Mailbox
