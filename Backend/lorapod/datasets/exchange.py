"""Exchange two folders in one step, so that a reader finds the old one or the new one."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from lorapod.errors import Conflict

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
#: What the kernel answers if it, or the file system, cannot exchange two names.
_CANNOT_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}


def rename_to_free(new: Path, target: Path) -> bool:
    """Rename the folder to a name that is free or an empty folder's; return False if it is not.

    Raises:
        Conflict: `target` is a file.
        OSError: the file system failed.
    """
    try:
        new.rename(target)
    except NotADirectoryError as error:
        raise Conflict(f"{target.name!r} is a file, not a folder.", hint="Choose another name.") from error
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; return False if the kernel or the file system cannot.

    Raises:
        OSError: the file system failed; both are where they were.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    if (number := ctypes.get_errno()) in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))
