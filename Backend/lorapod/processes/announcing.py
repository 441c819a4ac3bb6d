"""What the process manager needs of the telling of events."""

from __future__ import annotations

from typing import Protocol

from lorapod.processes.record import ProcessRecord


class Announcing(Protocol):
    """Tells whoever wants to know what happens to processes; called in any thread, never waits for anybody."""

    def started(self, record: ProcessRecord) -> None:
        """Its folder and config stand, and its run begins; called by whoever holds it."""

    def changed(self, record: ProcessRecord) -> None:
        """Something of it is new. Called by whoever holds it, with an end only once that is on the disk."""


class NoAnnouncing:
    """Tells nothing."""

    def started(self, record: ProcessRecord) -> None:
        """Nobody listens."""

    def changed(self, record: ProcessRecord) -> None:
        """Nobody listens."""
