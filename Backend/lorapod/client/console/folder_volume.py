"""A workspace on this machine, read as a volume is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lorapod.volume.local_files import LocalFiles
from lorapod.volume.port import FilePart, FileState
from lorapod.volume.view import VolumeView
from lorapod.workspace import Workspace

T = TypeVar("T")


class ConfinedFiles(LocalFiles):
    """The files below one folder: a link that leads out of it, which a stranger's workspace may have, leads to no file."""

    def __init__(self, root: Path) -> None:
        """Read below this folder, which must be resolved."""
        self._root = root

    def state(self, path: Path) -> FileState:
        """Look at one file."""
        return super().state(self._inside(path))

    def read(self, path: Path, *, offset: int = 0, length: int | None = None) -> FilePart:
        """Return a part of a file."""
        return super().read(self._inside(path), offset=offset, length=length)

    def copy(self, path: Path, target: Path) -> None:
        """Write the content of a file to a new file."""
        super().copy(self._inside(path), target)

    def _inside(self, path: Path) -> Path:
        resolved = path.resolve()
        if not resolved.is_relative_to(self._root):
            raise FileNotFoundError(str(path))
        return resolved


class FolderVolume:
    """Asks the files of a workspace from an event loop, as `AsyncVolume` asks those of a volume."""

    def __init__(self, root: Path) -> None:
        """Read below this folder."""
        root = root.resolve()
        self._view = VolumeView(ConfinedFiles(root), Workspace(root=root))

    async def ask(self, question: Callable[[VolumeView], T]) -> T:
        """Return the answer to a question."""
        return await asyncio.to_thread(question, self._view)

    async def close(self) -> None:
        """End the threads."""
        await asyncio.to_thread(self._view.close)
