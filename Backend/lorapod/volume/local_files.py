"""The files of a workspace in a folder of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lorapod.folders import entries_of, files_below
from lorapod.volume.port import EntryKind, FileEntry, FilePart, FileState


class LocalFiles:
    """A `VolumeFiles` of this machine's file system."""

    def entries(self, folder: Path) -> Sequence[FileEntry]:
        """Return what lies directly in a folder, by name; nothing if there is no such folder."""
        return [_entry(found) for found in entries_of(folder)]

    def below(self, folder: Path, *, skip: Callable[[str], bool] = lambda _: False) -> Iterator[FileEntry]:
        """Yield every file below a folder, by name; those of inner folders follow."""
        return (_entry(found) for found in files_below(folder, skip=skip))

    def state(self, path: Path) -> FileState:
        """Look at one file."""
        return _state(path.stat())

    def read(self, path: Path, *, offset: int = 0, length: int | None = None) -> FilePart:
        """Return a part of a file."""
        with path.open("rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            begin = max(0, size_bytes + offset) if offset < 0 else min(offset, size_bytes)
            file.seek(begin)
            return FilePart(data=file.read(length), offset=begin, size_bytes=size_bytes)

    def copy(self, path: Path, target: Path) -> None:
        """Write the content of a file to a new file."""
        shutil.copyfile(path, target)


#: The workers' own way.
LOCAL_FILES = LocalFiles()


def _entry(found: os.DirEntry[str]) -> FileEntry:
    return FileEntry(path=Path(found.path), kind=_kind(found), state=lambda: _state(found.stat()))


def _kind(found: os.DirEntry[str]) -> EntryKind:
    if found.is_symlink():
        return EntryKind.LINK
    if found.is_dir(follow_symlinks=False):
        return EntryKind.FOLDER
    return EntryKind.FILE if found.is_file(follow_symlinks=False) else EntryKind.OTHER


def _state(stat: os.stat_result) -> FileState:
    return FileState(size_bytes=stat.st_size, modified_ns=stat.st_mtime_ns)
