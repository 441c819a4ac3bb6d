"""Look into folders. A folder that cannot be read raises: it must never pass for an empty one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def entries_of(folder: Path | str) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, by name; nothing if there is no such folder.

    Raises:
        OSError: the folder cannot be read now, as on a network volume that lost its server.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def files_below(
    folder: Path | str, *, skip: Callable[[str], bool] = lambda _: False
) -> Iterator[os.DirEntry[str]]:
    """Yield every file below a folder, by name; those of inner folders follow. Links to folders are not followed.

    Args:
        folder: where to begin; it need not exist.
        skip: answers for the name of an inner folder whether it is left out.

    Raises:
        OSError: a folder cannot be read now.
    """
    inner: list[str] = []
    for entry in entries_of(folder):
        if entry.is_dir(follow_symlinks=False):
            if not skip(entry.name):
                inner.append(entry.path)
        elif not (entry.is_symlink() and os.path.isdir(entry.path)):  # noqa: PTH112 - a broken link is no error
            yield entry
    for path in inner:
        yield from files_below(path, skip=skip)
