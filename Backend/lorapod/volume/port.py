"""The port of what reads the files of a workspace: its folder, or the volume's bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class EntryKind(StrEnum):
    """What a name in a folder stands for."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    #: A pipe, for example.
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class FileState:
    """A file as it was at one look."""

    size_bytes: int
    #: Nanoseconds since the epoch.
    modified_ns: int
    #: Changes with the content, if the server tells one; empty if not.
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One name in a folder."""

    #: Below the root of the workspace: as absolute or relative as that root.
    path: Path
    kind: EntryKind
    #: Look at the file; raises `FileNotFoundError` if it is gone. Over S3, the listing has told it already.
    state: Callable[[], FileState]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    @property
    def is_file(self) -> bool:
        """Return whether it is a file, and no link."""
        return self.kind is EntryKind.FILE


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """Bytes of a file."""

    data: bytes
    #: Where they begin.
    offset: int
    #: Of the whole file.
    size_bytes: int


class VolumeListing(Protocol):
    """Lists files of one workspace. Every method raises an error if the volume does not answer."""

    def entries(self, folder: Path) -> Sequence[FileEntry]:
        """Return what lies directly in a folder, by name; nothing if there is no such folder."""

    def below(self, folder: Path, *, skip: Callable[[str], bool] = lambda _: False) -> Iterator[FileEntry]:
        """Yield every file below a folder; folders whose name `skip` accepts are left out, links to folders not followed."""


class VolumeFiles(VolumeListing, Protocol):
    """Reads the files of one workspace. Every method raises an error if the volume does not answer."""

    def state(self, path: Path) -> FileState:
        """Look at one file.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def read(self, path: Path, *, offset: int = 0, length: int | None = None) -> FilePart:
        """Return a part of a file; a negative `offset` counts from the end, and a part beyond the end is empty.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def copy(self, path: Path, target: Path) -> None:
        """Write the content of a file to a new file of this machine.

        Raises:
            FileNotFoundError: there is no such file.
        """
