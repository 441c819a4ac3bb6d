"""A workspace on this machine, read as a volume is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.view import VolumeView
from lorapod.workspace import Workspace

T = TypeVar("T")


class FolderVolume:
    """Asks the files of a workspace from an event loop, as `AsyncVolume` asks those of a volume."""

    def __init__(self, root: Path) -> None:
        """Read below this folder."""
        self._view = VolumeView(LOCAL_FILES, Workspace(root=root.resolve()))

    async def ask(self, question: Callable[[VolumeView], T]) -> T:
        """Return the answer to a question."""
        return await asyncio.to_thread(question, self._view)

    async def close(self) -> None:
        """End the threads."""
        await asyncio.to_thread(self._view.close)
