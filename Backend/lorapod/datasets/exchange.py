"""One folder in the place of another, in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
from pathlib import Path

from lorapod.errors import Conflict

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
#: What the kernel says where it, or the file system, cannot exchange two names.
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}


def put_in_place(new: Path, target: Path) -> None:
    """Make the folder `new` be `target`; the old content is removed afterwards.

    A reader finds the old folder or the new one. On file systems that cannot exchange two names (some network ones)
    there is a moment between two renames in which it finds none.

    Raises:
        Conflict: `target` is no folder.
        OSError: the file system failed; the old folder is where it was.
    """
    try:
        new.rename(target)  # as if there were nothing yet, or an empty folder
    except NotADirectoryError as error:
        raise Conflict(f"{target.name} is a file, not a folder.") from error
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        return
    if _exchange(new, target):
        shutil.rmtree(new, ignore_errors=True)
        return
    old = new.with_name(f"{new.name}.{secrets.token_hex(4)}.old")
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where that cannot be done here."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    if (number := ctypes.get_errno()) in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
