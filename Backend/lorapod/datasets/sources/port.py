"""What the fetching of a dataset needs of the place where it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lorapod.safety.part_file import Version

#: Called with the bytes of one file that have come, and those of the whole where they are known; from any thread.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file of a source."""

    #: Stands for it wherever it is named again, for good; no secret is in it.
    key: str
    #: Folders and name, as the source has them.
    path: str
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """A file that has come."""

    sha256: str
    #: What tells this content from the file's next one; empty: the source says nothing.
    version: Version


class Source(Protocol):
    """One place with files; its methods run in an event loop, and can be cancelled at any time."""

    async def files(self) -> Sequence[RemoteFile]:
        """Everything there that a dataset may hold.

        Raises:
            WorkerError: it cannot be read, or has no such folder.
        """

    async def fetch(
        self, file: RemoteFile, target: Path, *, known: Version | None, progress: Progress
    ) -> FetchedFile | None:
        """Bring one file to `target`; None where it is still the `known` version.

        What an earlier call left beside `target` is gone on with, where the source can.

        Raises:
            WorkerError: it cannot be had, is too large, or the disk has no room; see each error's own code.
            OSError: the disk failed.
        """
