"""Heartbeats as files, one for each worker that holds processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from lorapod.atomic import replace_file
from lorapod.processes.store.port import Heartbeat

_ADAPTER = TypeAdapter(Heartbeat)


class FileHeartbeats:
    """A `HeartbeatStore` in one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep heartbeats in `folder`; it is made where it is missing."""
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def write(self, holder: str, beat: Heartbeat) -> None:
        """Replace the worker's heartbeat; it need not outlive a power cut, which ends the worker too."""
        self._folder.mkdir(exist_ok=True)
        replace_file(self._folder / holder, _ADAPTER.dump_json(beat))

    def read(self, holder: str) -> Heartbeat | None:
        """The worker's last heartbeat."""
        try:
            return _ADAPTER.validate_json((self._folder / holder).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def forget(self, holder: str) -> None:
        """Remove a worker's heartbeat."""
        (self._folder / holder).unlink(missing_ok=True)

    def holders(self) -> Sequence[str]:
        """The workers that have one."""
        return [entry.name for entry in os.scandir(self._folder) if not entry.name.startswith(".")]
