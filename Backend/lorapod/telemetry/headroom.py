"""Whether there is enough memory and disk to start anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import InsufficientMemory, InsufficientStorage
from lorapod.telemetry.telemetry import Telemetry


@dataclass(frozen=True, kw_only=True)
class Headroom:
    """What must be free before anything is started."""

    telemetry: Telemetry
    #: The workspace.
    root: Path
    min_free_memory_bytes: int
    min_free_disk_bytes: int

    def check(self) -> None:
        """Refuse a start if memory or disk is short.

        Raises:
            InsufficientMemory: the container has too little memory left.
            InsufficientStorage: the workspace has too little disk left.
            OSError: the workspace's file system does not answer.
        """
        free_bytes = self.telemetry.disk(self.root).free_bytes
        if free_bytes < self.min_free_disk_bytes:
            raise InsufficientStorage(
                f"The workspace has {free_bytes} bytes free; {self.min_free_disk_bytes} are needed to start anything.",
                hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume.",
            )
        available_bytes = self.telemetry.memory().available_bytes
        if available_bytes < self.min_free_memory_bytes:
            raise InsufficientMemory(
                f"This worker has {available_bytes} bytes of memory left; {self.min_free_memory_bytes} are needed "
                "to start anything.",
                hint="Wait until running processes have ended, or choose a larger machine for the endpoint.",
            )
