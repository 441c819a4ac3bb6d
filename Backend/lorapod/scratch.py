"""A worker's own folder on local disk, removed with the worker, or by the next worker if it was killed.

The folder is held by a file lock, not by a lease: on a local disk the kernel releases the lock at the very moment when
the process ends, however it ends, and a frozen worker keeps its folder. There is nothing to count and nothing to wait for.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

_PREFIX = "worker-"


class Scratch:
    """A folder that is held by a lock on the folder itself."""

    def __init__(self, path: Path, lock: int) -> None:
        """Take a folder that `lock` locks."""
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make a folder with a new name below `root`, and lock it.

        Raises:
            OSError: it cannot be made.
        """
        root.mkdir(parents=True, exist_ok=True)
        unseen = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=root))
        lock = os.open(unseen, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Other workers may find it only now that it is locked.
        return cls(unseen.rename(root / unseen.name.removeprefix(".")), lock)

    def sweep(self) -> None:
        """Remove the folders beside it that killed workers have left; what cannot be removed stays."""
        for folder in self.path.parent.glob(f"{_PREFIX}*"):
            if folder != self.path:
                _remove_if_left(folder)

    def close(self) -> None:
        """Remove the folder, and release the lock."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _remove_if_left(folder: Path) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        # Another worker was faster, or the folder belongs to another user.
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Its worker lives.
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
