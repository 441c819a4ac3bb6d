"""The files of a dataset's folder as an edit handles them: told apart, linked, and the trainer's own among them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from lorapod.datasets.edits.edit import FileChange
from lorapod.folders import files_below
from lorapod.kinds import CACHE_FOLDERS
from lorapod.safety.images import SUFFIXES as IMAGE_SUFFIXES

#: Caches that depend on the captions; the others depend on the images alone.
_CAPTION_CACHES = frozenset({"_t_e_cache"})

#: Errors by which a file system says that it has no hard links, or no more for this file.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV, errno.ENOSYS}

#: What tells a file from every other one: inode, time of change in nanoseconds, size in bytes.
FileMark = tuple[int, int, int]


def marks(folder: Path) -> Iterator[tuple[str, FileMark]]:
    """Yield every file below a folder, also hidden ones, by its name relative to it."""
    prefix = f"{folder}{os.sep}"
    for entry in files_below(folder):
        if (mark := mark_of(Path(entry.path))) is not None:
            yield entry.path.removeprefix(prefix), mark


def mark_of(path: Path) -> FileMark | None:
    """Return what tells this file from every other one; None if it is not there."""
    with suppress(FileNotFoundError, NotADirectoryError):
        stat = path.lstat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
    return None


def link_file(path: Path, target: Path) -> None:
    """Make a second name for a file; copy it if the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(path)
    except FileNotFoundError:
        return  # it was removed meanwhile
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(path, target, follow_symlinks=False)


def is_trainers(name: str) -> bool:
    """Return whether a file is the trainer's own: a cache, or a hidden list of sizes."""
    path = PurePosixPath(name)
    return path.name.startswith(".") or not CACHE_FOLDERS.isdisjoint(path.parts[:-1])


def is_stale(name: str, files: Mapping[str, FileChange]) -> bool:
    """Return whether a cache was computed from a file that changes: its name begins with that file's stem."""
    path = PurePosixPath(name)
    folder = path.parent.parent
    for changed in files:
        source = PurePosixPath(changed)
        if source.parent == folder and path.name.startswith(f"{source.stem}_"):
            return source.suffix.lower() in IMAGE_SUFFIXES or path.parent.name in _CAPTION_CACHES
    return False
