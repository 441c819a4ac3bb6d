"""Download objects whole or not at all, and continue where an earlier download broke off."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx

from lorapod.errors import InsufficientStorage, UpstreamError
from lorapod.library_errors import DISK_FULL
from lorapod.storage.port import Progress, StoredObject, StoreUnavailable

READ_BYTES = 1 << 20
#: Longest name of a file that the name of its part repeats.
_PART_NAME_MAX_BYTES = 200

#: Takes the next piece of the content; only one call at a time, from any thread.
Write = Callable[[bytes], None]
#: Writes the content from an offset on, in order, and returns the object as the answer itself described it, if it did.
#: Raises `StoreUnavailable`, and what `Write` raises.
ReadFrom = Callable[[int, Write], StoredObject | None]


class ObjectChanged(StoreUnavailable):
    """The object is not the one that was described; describe it again, then fetch it."""


def fetch(
    wanted: StoredObject,
    path: Path,
    read_from: ReadFrom,
    *,
    look: Callable[[], StoredObject | None],
    progress: Progress | None,
    one_answer: bool = False,
) -> None:
    """Bring `wanted` to `path`, continuing what an earlier call left of the same content.

    The file is not forced to the disk: if the worker is killed, `path` holds the old content or the whole new one. A
    caller that must survive a power cut syncs what it publishes.

    Args:
        wanted: the object as it was described before.
        path: where it goes.
        read_from: reads its content.
        look: describes the object again, once everything has come: content that changed meanwhile is dropped.
        progress: see `Progress`.
        one_answer: skip that look if one answer brought everything and named the object by its etag.

    Raises:
        StoreUnavailable: it broke off without a byte gained, or changed meanwhile.
        UpstreamError: the content has another digest than the store keeps.
        InsufficientStorage: the disk is full; nothing is left behind.
        OSError: `path` cannot be written.
    """
    part = _part_path(wanted, path)
    _drop_parts(path, keep=part)
    try:
        now = _fill(wanted, part, read_from, progress)
    except ObjectChanged:
        part.unlink(missing_ok=True)
        raise
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        part.unlink(missing_ok=True)
        raise _disk_full(wanted) from error
    if not one_answer or now is None or now.etag is None or now.etag != wanted.etag:
        now = look()
    if now is None or now.etag != wanted.etag:
        part.unlink()
        raise ObjectChanged(f"The object {wanted.key!r} changed while it was fetched.")
    _check(wanted, wanted.sha256 or now.sha256, part)
    part.replace(path)


def write_from(offset: int, response: httpx.Response, write: Write) -> None:
    """Write the body of an answer to a request for what follows `offset`, also if the server ignored the range."""
    surplus = offset if response.status_code == httpx.codes.OK else 0
    for chunk in response.iter_bytes(READ_BYTES):
        fresh = chunk[surplus:]
        surplus = max(0, surplus - len(chunk))
        if fresh:
            write(fresh)


def _fill(
    wanted: StoredObject, part: Path, read_from: ReadFrom, progress: Progress | None
) -> StoredObject | None:
    """Write the part file to its end; try again as long as each try gains something.

    Return the object as the answer described it, if one answer brought everything.
    """
    whole = True
    if part.exists() and part.stat().st_size > wanted.size_bytes:
        part.unlink()
    while True:
        with part.open("ab") as file:
            begun_at = file.tell()
            whole = whole and not begun_at
            try:
                described = _append(wanted, file, read_from, progress)
            except ObjectChanged:
                raise
            except StoreUnavailable:
                if file.tell() <= begun_at:
                    raise
            else:
                return described if whole else None


def _append(
    wanted: StoredObject, file: BinaryIO, read_from: ReadFrom, progress: Progress | None
) -> StoredObject | None:
    missing = wanted.size_bytes - file.tell()
    if missing > shutil.disk_usage(Path(file.name).parent).free:
        raise OSError(errno.ENOSPC, "not enough free disk")
    if not missing:
        return None

    def write(piece: bytes) -> None:
        if file.tell() + len(piece) > wanted.size_bytes:
            raise ObjectChanged(f"The object {wanted.key!r} grew while it was fetched.")
        file.write(piece)
        if progress is not None:
            progress(file.tell())

    described = read_from(wanted.size_bytes - missing, write)
    if file.tell() != wanted.size_bytes:
        raise StoreUnavailable(
            f"The object {wanted.key!r} ended after {file.tell()} of {wanted.size_bytes} bytes."
        )
    return described


def _check(wanted: StoredObject, sha256: str | None, part: Path) -> None:
    if sha256 is None:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise UpstreamError(
            f"The content of the object {wanted.key!r} does not have the sha256 that is stored with it.",
            hint="Try again; if it fails again, upload the object again.",
        )


def _part_path(wanted: StoredObject, path: Path) -> Path:
    identity = f"{wanted.key}\n{wanted.etag}\n{wanted.size_bytes}\n{wanted.modified_at}"
    return path.with_name(f"{_prefix(path)}{hashlib.sha256(identity.encode()).hexdigest()[:12]}.part")


def _prefix(path: Path) -> str:
    """Return how the names of a file's parts begin; a long name leaves no room for more."""
    name = path.name
    if len(name.encode()) > _PART_NAME_MAX_BYTES:
        name = hashlib.sha256(name.encode()).hexdigest()
    return f".{name}."


def _drop_parts(path: Path, *, keep: Path) -> None:
    """Remove what is left of other contents; names are compared, because `path` may hold pattern characters."""
    for other in path.parent.iterdir():
        if other.name.startswith(_prefix(path)) and other.suffix == ".part" and other != keep:
            other.unlink(missing_ok=True)


def _disk_full(wanted: StoredObject) -> InsufficientStorage:
    return InsufficientStorage(
        f"The disk has no room for the object {wanted.key!r} of {wanted.size_bytes} bytes.",
        hint="Free disk in the workspace, or take a larger volume.",
    )
