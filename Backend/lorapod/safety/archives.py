"""Unpack archives, whatever they are called, and say what the others are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorapod.errors import InvalidInput
from lorapod.safety.content_kinds import PAGE_HINT, content_kind, is_web_page
from lorapod.safety.parquet import is_parquet, unpack_parquet
from lorapod.safety.tars import is_tar, unpack_tar
from lorapod.safety.unpacking import ArchiveLimits, Refused, Unpacked, Unpacking
from lorapod.safety.zips import ends_as_zip, unpack_zip

_ZIP_MAGIC = b"PK\3\4"


def is_archive(path: Path) -> bool:
    """Return whether the file begins as an archive that `unpack` reads.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC or is_tar(path) or is_parquet(path)


def unpack(
    archive: Path, into: Path, *, limits: ArchiveLimits
) -> tuple[Sequence[Unpacked], Sequence[Refused]]:
    """Unpack a zip or tar archive, or a parquet table of images, into `into`, an empty folder; `Unpacked.name` has each file's path in the archive.

    Hidden files and those of operating systems (`__MACOSX`, `Thumbs.db`) are ignored. A second file of the same path
    is refused alone; archives inside the archive stay packed.

    Raises:
        UnsafeArchive: an entry leads outside, is not a file (a link, a device), is encrypted, or it unpacks to more
            than `limits` allow, by the bytes that really come out. Nothing is left in `into`.
        InsufficientStorage: it unpacks to more than `limits.free_bytes`. Nothing is left in `into`.
        InvalidInput: it is no such archive, or it is damaged. Nothing is left in `into`.
        Unsupported: it is a parquet table, which this worker cannot read.
        OSError: the disk is full or not writable. Nothing is left in `into`.
    """
    unpacking = Unpacking(into=into, limits=limits)
    try:
        if is_parquet(archive):
            unpack_parquet(archive, unpacking)
        elif is_tar(archive):
            unpack_tar(archive, unpacking)
        else:
            _refuse_others(archive)
            unpack_zip(archive, unpacking)
    except BaseException:
        unpacking.discard()
        raise
    return unpacking.result


def _refuse_others(archive: Path) -> None:
    """Refuse a file that is known to be something else than a zip archive."""
    kind = content_kind(archive)
    if kind is None or ends_as_zip(archive):
        return
    raise InvalidInput(
        f"The file is {kind}, not a zip archive.",
        hint=PAGE_HINT
        if is_web_page(archive)
        else "Pack the images and captions as a .zip, .tar or .tar.gz.",
    )
