"""Marks of processes with something still to be sent, so that another worker continues if the sender dies."""

from __future__ import annotations

import os
import secrets
from collections.abc import Hashable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from lorapod.clock import Clock
from lorapod.lease import LeaseState, LivenessTracker

#: A mark that has not changed for so long is abandoned. Four times what a live worker lets pass.
ABANDONED_S = 40.0
#: Time between two renewals of a mark.
RENEW_S = 10.0


class WorkMarker:
    """A file for each process, in which the worker that sends counts up: a lease, see `lorapod.lease`.

    Earlier versions only touch the file, and look only at its time of change: so that time counts as well.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Keep marks in `folder`, which is made with the first."""
        self._folder = folder
        self._token = secrets.token_hex(8)
        self._count = 0
        self._tracker = LivenessTracker(ABANDONED_S, clock.monotonic)

    def set(self, process_id: str) -> None:
        """Mark that this worker sends it from now on, whatever another one does; `renew` it every `RENEW_S`.

        Raises:
            OSError: the disk is full or not writable.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._count += 1
        # In place: a reader that sees half of it sees a change, and no temporary file can look like a mark.
        (self._folder / process_id).write_text(f"{self._token} {self._count}\n", encoding="ascii")

    def renew(self, process_id: str) -> LeaseState:
        """Count up; or return `LOST` if another worker has set the mark since, because this one stood still.

        Raises:
            OSError: the disk is full or not writable.
        """
        token = self._read(process_id).partition(b" ")[0]
        if token not in (b"", self._token.encode()):
            return LeaseState.LOST
        self.set(process_id)
        return LeaseState.HELD

    def stands(self, process_id: str) -> bool:
        """Return whether something of it may not be sent yet."""
        return (self._folder / process_id).exists()

    def remove(self, process_id: str) -> None:
        """Say that all is sent."""
        with suppress(OSError):
            (self._folder / process_id).unlink(missing_ok=True)

    def abandoned(self) -> Sequence[str]:
        """Return the processes whose mark has not changed for `ABANDONED_S`; call it about every `RENEW_S`."""
        names: list[str] = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries]
        self._tracker.forget_all_but(names)
        return [name for name in names if self._tracker.has_expired(name, partial(self._look, name))]

    def _look(self, process_id: str) -> Hashable:
        with suppress(FileNotFoundError):
            return (self._read(process_id), (self._folder / process_id).stat().st_mtime_ns)
        return None

    def _read(self, process_id: str) -> bytes:
        try:
            return (self._folder / process_id).read_bytes()
        except FileNotFoundError:
            return b""
