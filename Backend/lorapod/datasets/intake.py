"""One file of an upload: received into a staging folder, and checked there."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lorapod.datasets.captions import check_caption
from lorapod.errors import InsufficientStorage, InvalidInput
from lorapod.kinds import suffix_of
from lorapod.library_errors import DISK_FULL
from lorapod.safety import images
from lorapod.safety.images import ImageInfo
from lorapod.wire import dataset

ARCHIVE_SUFFIX = dataset.ARCHIVE_SUFFIX
TEXT_SUFFIXES = dataset.TEXT_SUFFIXES
TAKEN_SUFFIXES = dataset.DATASET_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class StagedFile:
    """A checked file that waits in a staging folder."""

    name: str
    path: Path
    #: What came; a caption may be kept in another form.
    received_bytes: int
    size_bytes: int
    #: Hexadecimal, of the file as it is.
    sha256: str
    picture: ImageInfo | None = None


def check_suffix(name: str) -> None:
    """Refuse files that no trainer reads.

    Raises:
        InvalidInput: a dataset holds no files of that suffix.
    """
    if suffix_of(name) not in TAKEN_SUFFIXES:
        raise InvalidInput(
            f"{name}: a dataset holds pictures, captions, videos or a zip of them.",
            hint=f"Its name has to end in one of {' '.join(sorted(TAKEN_SUFFIXES))}.",
        )


def receive(pieces: Iterable[bytes], target: Path) -> tuple[int, str]:
    """Write the pieces to `target`, which must not exist; size in bytes and sha256 of what was written.

    It is on disk for good only once it is published.

    Raises:
        OSError: the disk ran full, see `is_full`.
        WorkerError: whatever `pieces` raised. After any error there is no `target`.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        with target.open("xb", buffering=0) as file:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) :]
                digest.update(piece)
                size_bytes += len(piece)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return size_bytes, digest.hexdigest()


def check_content(path: Path, name: str) -> ImageInfo | None:
    """Check a received file by its kind; what is known of it, where it is a picture.

    Raises:
        InvalidInput: it is not what its name says, or damaged.
        TooLarge: it is a picture or caption beyond what trainers read.
    """
    suffix = suffix_of(name)
    if suffix in images.SUFFIXES:
        return images.verify(path, name=name)
    if suffix in TEXT_SUFFIXES:
        check_caption(path, name=name)
    elif not path.stat().st_size:
        raise InvalidInput(f"{name} is empty: 0 bytes.")
    return None


def check_digest(name: str, expected: str | None, actual: str) -> None:
    """Compare digests, where one was announced.

    Raises:
        InvalidInput: they differ.
    """
    if expected is not None and expected != actual:
        raise InvalidInput(
            f"{name} arrived damaged: its sha256 is {actual}, announced was {expected}.",
            hint="Send it again.",
        )


def fresh_path(folder: Path) -> Path:
    """A hidden path in `folder` that nothing else uses."""
    return folder / f".{secrets.token_hex(8)}"


def is_full(error: OSError) -> bool:
    """Whether the disk, a quota or a size limit is what failed."""
    return error.errno in DISK_FULL


def disk_full(name: str) -> InsufficientStorage:
    """The error for a disk that ran full while `name` was written."""
    return InsufficientStorage(
        f"The workspace's disk ran full at {name}; nothing of it was kept.",
        hint="Delete old outputs or attach a larger volume, then try again.",
    )
