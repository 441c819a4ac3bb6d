"""What the process manager needs of the place where records are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lorapod.processes.record import ProcessRecord


class RecordExists(Exception):
    """A record of that id is there already."""


class RecordStore(Protocol):
    """Keeps records; each has one writer at a time, and any number of readers on any worker."""

    def create(self, record: ProcessRecord) -> None:
        """Keep a new record.

        Raises:
            RecordExists: its id is taken; draw another.
        """

    def save(self, record: ProcessRecord) -> None:
        """Replace the record, all or nothing; it is on disk when this returns."""

    def load(self, process_id: str) -> ProcessRecord | None:
        """The record as last saved; None where there is none or it is damaged."""

    def ids(self) -> Sequence[str]:
        """Every id, newest first, without reading a record."""

    def live_ids(self) -> Sequence[str]:
        """The ids of records whose last saved state was not a final one; costs nothing for the others."""

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind an idempotency key to a process, unless it is bound already; the process it is bound to."""
