"""Disk figures of the file system that holds a path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Disk:
    """One file system, in bytes.

    A quota that the file system knows of (a container's own limit on overlay or XFS) is in these figures already;
    a network volume may show its whole cluster, because its quota is kept elsewhere.
    """

    total_bytes: int
    used_bytes: int
    #: What an unprivileged process may still write: the blocks kept for root are not counted.
    free_bytes: int


def disk_of(path: Path) -> Disk:
    """Return the figures of the file system that holds `path`, or would hold it: that of the nearest existing folder.

    Raises:
        OSError: the file system does not answer, e.g. a network volume that is gone.
    """
    while True:
        try:
            found = os.statvfs(path)
        except (FileNotFoundError, NotADirectoryError):
            if path == path.parent:
                raise
            path = path.parent
            continue
        return Disk(
            total_bytes=found.f_blocks * found.f_frsize,
            used_bytes=(found.f_blocks - found.f_bfree) * found.f_frsize,
            free_bytes=found.f_bavail * found.f_frsize,
        )
