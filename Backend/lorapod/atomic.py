"""Writing files that others read: a reader sees a whole file or none."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

#: So much of a file's name is in the name of its temporary file: names have 255 bytes at most.
_NAME_END_BYTES = 200


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the content of `path`: a reader sees the old content or the new one, and a crash leaves one of the two.

    Raises:
        OSError: the disk is full or not writable; `path` is as it was, and no temporary file is left.
    """
    replace_file(path, data, durable=True)
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Do what `write_atomically` does for readers, but promise nothing for a power cut unless `durable`."""
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_path(path: Path) -> Path:
    """Return a new hidden name beside `path`, with the end of its name in it; a name of any length has one."""
    end = os.fsdecode(os.fsencode(path.name)[-_NAME_END_BYTES:])
    return path.with_name(f".{end}.{secrets.token_hex(4)}.tmp")


def sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
