"""One file on its way into a dataset: what can be refused by name and size, and the checks of its content."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lorapod.datasets.captions import CAPTION_MAX_BYTES, normalise_text
from lorapod.datasets.looks.foreign_formats import foreign_format
from lorapod.datasets.looks.video_container import check_video
from lorapod.errors import InsufficientStorage, InvalidInput, TooLarge
from lorapod.kinds import suffix_of
from lorapod.library_errors import DISK_FULL
from lorapod.safety import images, parquet
from lorapod.safety.images import ImageInfo
from lorapod.wire import dataset

TEXT_SUFFIXES = dataset.TEXT_SUFFIXES

#: Longest name that a caller may give, in bytes; one of more than the file system's 255 is shortened.
FILENAME_MAX_BYTES = 1024

#: Size of the largest table of captions, in bytes.
TABLE_MAX_BYTES = 64_000_000

_NOT_IN_NAMES = re.compile(r"[/\\\0]")
_ENDINGS = sorted(
    dataset.IMAGE_SUFFIXES
    | dataset.CONVERTED_SUFFIXES
    | dataset.TEXT_SUFFIXES
    | dataset.VIDEO_SUFFIXES
    | {*dataset.ARCHIVE_SUFFIXES}
)
PACK_HINT = "Pack the images and captions as a .zip, .tar or .tar.gz."
#: Archives that are not unpacked.
OTHER_ARCHIVES = frozenset({".7z", ".rar", ".gz", ".bz2", ".xz", ".zst"})


@dataclass(frozen=True, kw_only=True)
class StagedFile:
    """A checked file in a staging folder."""

    name: str
    #: Folders and name in its source, or in its archive.
    origin: str
    #: The archive that it came out of, by its name in the intake.
    archive: str = ""
    path: Path
    #: Bytes that were received; a caption may be stored in another form.
    received_bytes: int
    size_bytes: int
    #: Hexadecimal, of the file as it is stored.
    sha256: str
    image: ImageInfo | None = None
    #: What was done to it if it was converted.
    fixed: dataset.FixedFile | None = None

    @classmethod
    def received(cls, name: str, origin: str, path: Path, size_bytes: int, sha256: str) -> Self:
        """Return a file that is stored as it was received."""
        return cls(
            name=name,
            origin=origin,
            path=path,
            received_bytes=size_bytes,
            size_bytes=size_bytes,
            sha256=sha256,
        )


def check_name(filename: str) -> None:
    """Refuse the name of a file that no dataset can hold, under whatever name.

    Raises:
        InvalidInput: it is not a plain name, or no trainer reads files of that suffix.
    """
    shown = filename if len(filename) <= 80 else f"{filename[:77]}..."
    try:
        size_bytes = len(filename.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"filename: {shown!r} is not valid Unicode.") from error
    if size_bytes > FILENAME_MAX_BYTES:
        raise InvalidInput(
            f"filename: {shown!r} is too long: {size_bytes} bytes, {FILENAME_MAX_BYTES} at most."
        )
    if not filename.strip(" .") or _NOT_IN_NAMES.search(filename):
        raise InvalidInput(
            f"filename: {shown!r} is not a plain name.",
            hint="Give the name without folders; to send folders, pack them as a .zip.",
        )
    suffix = suffix_of(filename)
    if suffix == parquet.SUFFIX and not parquet.can_read_parquet():
        raise InvalidInput(
            f"{shown!r} cannot be part of a dataset: this worker does not read parquet tables.",
            hint=parquet.HINT,
        )
    if dataset.is_dataset_name(filename):
        return
    if suffix in OTHER_ARCHIVES:
        raise InvalidInput(
            f"{shown!r} cannot be part of a dataset: {suffix} archives are not unpacked.",
            hint=PACK_HINT,
        )
    raise InvalidInput(
        f"{shown!r} cannot be part of a dataset: use images, videos, captions or a zip.",
        hint=f"Its name has to end in one of {' '.join(_ENDINGS)}; a table of captions is metadata.jsonl or metadata.csv.",
    )


def check_size(name: str, size_bytes: int, *, archive_max_bytes: int | None = None) -> None:
    """Refuse a file that is larger than its content can be; `size_bytes` may be known before the content is.

    Args:
        name: of the file.
        size_bytes: of the whole file.
        archive_max_bytes: how much an archive may unpack to; None: archives are kept packed.

    Raises:
        TooLarge: it is.
    """
    suffix = suffix_of(name)
    if name.lower() in dataset.CAPTION_TABLES:
        if size_bytes > TABLE_MAX_BYTES:
            raise TooLarge(
                f"{name} has {size_bytes} bytes; a table of captions has {TABLE_MAX_BYTES} at most."
            )
    elif suffix in TEXT_SUFFIXES and size_bytes > CAPTION_MAX_BYTES:
        raise TooLarge(f"{name} has {size_bytes} bytes; a caption has {CAPTION_MAX_BYTES} at most.")
    if suffix in images.SUFFIXES | dataset.CONVERTED_SUFFIXES and size_bytes > images.BYTES_MAX:
        raise TooLarge(f"{name} has {size_bytes} bytes; an image has {images.BYTES_MAX} at most.")
    if dataset.is_archive_name(name) and archive_max_bytes is not None and size_bytes > archive_max_bytes:
        raise TooLarge(
            f"{name} has {size_bytes} bytes; an archive may unpack to {archive_max_bytes} at most.",
            hint="Send several smaller archives, or the files themselves.",
        )


def check_beginning(path: Path, name: str) -> None:
    """Refuse a file by its first bytes, as far as they tell; the rest has not arrived.

    Raises:
        InvalidInput: it is not the image or video that its name says.
        TooLarge: it is an image with more pixels than trainers read.
    """
    if suffix_of(name) in images.SUFFIXES:
        if foreign_format(path) is None:
            images.check_beginning(path, name=name)
    elif suffix_of(name) in dataset.VIDEO_SUFFIXES:
        check_video(path, name=name, whole=False)


def receive(pieces: Iterable[bytes], target: Path) -> tuple[int, str]:
    """Write the pieces to `target`, which must not exist; return the size in bytes and the sha256 of what was written.

    It is not synced to the disk: that is done before it is published.

    Raises:
        OSError: the disk is full, see `is_full`, or failed.
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
    """Check a received file by its kind; return what is known of it if it is an image.

    Raises:
        InvalidInput: it is not what its name says, or damaged.
        TooLarge: it is an image or caption beyond what trainers read.
    """
    suffix = suffix_of(name)
    if suffix in images.SUFFIXES:
        return images.verify(path, name=name)
    if suffix in TEXT_SUFFIXES or is_table(name):
        return None  # `normalise_caption` has looked
    if suffix in dataset.VIDEO_SUFFIXES:
        check_video(path, name=name)
    elif not path.stat().st_size:
        raise InvalidInput(f"{name} is empty: 0 bytes.")
    return None


def digest(path: Path) -> str:
    """Return the sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_table(name: str) -> bool:
    """Return whether the file holds the captions of others, also if folders are part of its name."""
    return name.lower().endswith(tuple(dataset.CAPTION_TABLES))


def normalise_caption(path: Path, name: str) -> str | None:
    """Rewrite a received caption or table of captions as trainers read it; return its encoding if that was not UTF-8.

    Raises:
        InvalidInput: it is not text, or a web page.
        TooLarge: it is longer than trainers read.
    """
    if is_table(name):
        return normalise_text(path, name=name, most_bytes=TABLE_MAX_BYTES)
    return normalise_text(path, name=name) if suffix_of(name) in TEXT_SUFFIXES else None


def check_digest(name: str, expected: str | None, actual: str) -> None:
    """Compare digests if one was declared.

    Raises:
        InvalidInput: they differ.
    """
    if expected is not None and expected != actual:
        raise InvalidInput(
            f"{name} arrived damaged: its sha256 is {actual}, declared was {expected}.", hint="Send it again."
        )


def fresh_path(folder: Path) -> Path:
    """Return a hidden path in `folder` that nothing else uses."""
    return folder / f".{secrets.token_hex(8)}"


def is_full(error: OSError) -> bool:
    """Return whether the disk, a quota or a size limit is what failed."""
    return error.errno in DISK_FULL


def disk_full(name: str) -> InsufficientStorage:
    """Return the error for a disk that ran full while `name` was written."""
    return InsufficientStorage(
        f"The workspace's disk ran full at {name}; nothing of it was kept.",
        hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume, then try again.",
    )
