"""A folder on local disk that is one worker's alone, and goes with it: at the latest when the next worker starts."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

_PREFIX = "worker-"


class Scratch:
    """Held by a lock on the folder itself, which ends with the process, however that ends."""

    def __init__(self, path: Path, lock: int) -> None:
        """Take a folder that is locked already."""
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make a folder below `root`, whose name nobody else has.

        Raises:
            OSError: it cannot be made.
        """
        root.mkdir(parents=True, exist_ok=True)
        unseen = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=root))
        lock = os.open(unseen, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only from here on may others find it.
        return cls(unseen.rename(root / unseen.name.removeprefix(".")), lock)

    def sweep(self) -> None:
        """Remove the folders beside it that workers have left which were killed; what cannot be removed stays."""
        for folder in self.path.parent.glob(f"{_PREFIX}*"):
            if folder != self.path:
                _remove_if_left(folder)

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _remove_if_left(folder: Path) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        # Another worker was faster, or it is somebody else's.
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
