"""The port of the places that datasets are fetched from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lorapod.safety.part_file import Version

#: Called with the bytes of one file that have arrived, and those of the whole if known; from any thread.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file of a source."""

    #: Its id in the ledger, which never changes; contains no secret.
    key: str
    #: Folders and name in the source.
    path: str
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """A file that was downloaded."""

    sha256: str
    #: Changes with the content; empty if the source does not name versions.
    version: Version
    #: The file's name as the server gives it beside the content, if it does.
    name: str | None = None


class Source(Protocol):
    """One place with files; its methods run in an event loop and can be cancelled at any time."""

    async def files(self) -> Sequence[RemoteFile]:
        """Return all files that a dataset may hold.

        Raises:
            WorkerError: the source cannot be read, or has no such folder.
        """

    @property
    def left_out(self) -> Sequence[str]:
        """The paths of files that `files` found, and that no dataset may hold; hidden ones are not listed."""

    async def fetch(
        self, file: RemoteFile, target: Path, *, known: Version | None, progress: Progress
    ) -> FetchedFile | None:
        """Download one file to `target`; return None if it is still the `known` version.

        If the source can, resume from what an earlier call left beside `target`.

        Raises:
            WorkerError: it cannot be downloaded, is too large, or the disk is full.
            OSError: the disk failed.
        """
