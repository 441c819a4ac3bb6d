"""Marks of processes of which something is still to be sent, so that another worker sees when nobody does it any more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lorapod.clock import Clock

#: A mark that was not touched for so long belongs to nobody. Four times what a live worker lets pass.
ABANDONED_S = 40.0
TOUCH_S = 10.0


class WorkMarker:
    """A file for each process, touched by the worker that sends; its age is measured by the looker's own clock."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Keep marks in `folder`, which is made with the first."""
        self._folder = folder
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def set(self, process_id: str) -> None:
        """Say that this worker sends it, now and every `TOUCH_S`.

        Raises:
            OSError: the disk is full or not writable.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / process_id).touch()

    def stands(self, process_id: str) -> bool:
        """Whether something of it may not be sent yet."""
        return (self._folder / process_id).exists()

    def remove(self, process_id: str) -> None:
        """All is sent."""
        with suppress(OSError):
            (self._folder / process_id).unlink(missing_ok=True)

    def abandoned(self) -> Iterator[str]:
        """The processes whose mark has not changed since `ABANDONED_S`."""
        now = self._clock.monotonic()
        seen: dict[str, tuple[int, float]] = {}
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    touched = entry.stat().st_mtime_ns
                    before, since = self._seen.get(entry.name, (None, now))
                    seen[entry.name] = (touched, since if before == touched else now)
        self._seen = seen
        yield from [name for name, (_, since) in seen.items() if now - since >= ABANDONED_S]
