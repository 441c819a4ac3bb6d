"""Unpack zip archives without trust in anything that they declare."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lorapod.errors import Conflict, InsufficientStorage, InvalidInput, UnsafeArchive, WorkerError
from lorapod.workspace import safe_name

_CHUNK_BYTES = 1 << 20

#: An entry may grow this much beyond the ratio: small texts pack well.
_RATIO_FLOOR_BYTES = 1 << 20

#: Most bytes of one entry in the list of contents: its fixed part, a name and some extra fields.
_LISTING_BYTES_PER_ENTRY = 512

_END_RECORD = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\5\6"
_COMMENT_MAX_BYTES = 65_535
_ENCRYPTED = 0x1
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

#: What zipfile and zlib raise on damaged archives.
_DAMAGE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, ValueError, LookupError, NotImplementedError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much an archive may unpack to."""

    files: int = 20_000
    total_bytes: int = 20_000_000_000
    #: What the disk has room for.
    free_bytes: int = 20_000_000_000
    #: Unpacked bytes for each packed byte, of one entry; images are hardly compressed, text about ten times.
    ratio: int = 200


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """One file that was unpacked."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One file that was not unpacked."""

    name: str
    error: WorkerError


def unpack(
    archive: Path, into: Path, *, limits: ArchiveLimits
) -> tuple[Sequence[Unpacked], Sequence[Refused]]:
    """Unpack a zip archive flat into `into`, an empty folder: folders inside the archive are dropped from the names.

    Hidden files and those of operating systems (`__MACOSX`, `Thumbs.db`) are ignored. Names that are not plain, and
    names that occur twice, are refused one by one; archives inside the archive stay packed.

    Raises:
        UnsafeArchive: an entry leads outside, is not a file (a link, a device), is encrypted, or it unpacks to more
            than `limits` allow, by the bytes that really come out. Nothing is left in `into`.
        InsufficientStorage: it unpacks to more than `limits.free_bytes`. Nothing is left in `into`.
        InvalidInput: it is not a zip archive, or it is damaged. Nothing is left in `into`.
        OSError: the disk is full or not writable. Nothing is left in `into`.
    """
    taken: dict[str, Unpacked] = {}
    try:
        return _unpack(archive, into, limits, taken)
    except BaseException:
        for file in taken.values():
            file.path.unlink(missing_ok=True)
        raise


def _unpack(
    archive: Path, into: Path, limits: ArchiveLimits, taken: dict[str, Unpacked]
) -> tuple[Sequence[Unpacked], Sequence[Refused]]:
    _check_listing(archive, limits)
    refused: list[Refused] = []
    left_bytes = min(limits.total_bytes, limits.free_bytes)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = list(_files(opened, limits))
            for entry in entries:
                name = PurePosixPath(entry.filename).name
                try:
                    safe_name(name, field="filename")
                    if name in taken:
                        raise Conflict(f"There are two files {name!r} in the archive; the first one counts.")
                except WorkerError as error:
                    refused.append(Refused(name=entry.filename, error=error))
                    continue
                target = into / name
                taken[name] = Unpacked(name=name, path=target)
                with opened.open(entry) as source:
                    left_bytes -= _copy(source, target, entry, min(left_bytes, _allowance(entry, limits)))
    except _DAMAGE as error:
        raise InvalidInput("The zip archive is damaged.") from error
    return list(taken.values()), refused


def _check_listing(archive: Path, limits: ArchiveLimits) -> None:
    """Refuse a list of contents that would fill the memory, before zipfile reads it."""
    with archive.open("rb") as file:
        size_bytes = file.seek(0, 2)
        file.seek(max(0, size_bytes - _COMMENT_MAX_BYTES - _END_RECORD.size))
        tail = file.read()
    place = tail.rfind(_END_MAGIC)
    if place < 0 or len(tail) - place < _END_RECORD.size:
        raise InvalidInput("The file is not a zip archive, or it is cut off.")
    fields = _END_RECORD.unpack_from(tail, place)
    entries, listing_bytes = fields[4], fields[5]
    if entries == 0xFFFF or entries > limits.files or listing_bytes > limits.files * _LISTING_BYTES_PER_ENTRY:
        raise UnsafeArchive(f"The archive has too many entries; at most {limits.files} are allowed.")


def _files(opened: zipfile.ZipFile, limits: ArchiveLimits) -> Iterator[zipfile.ZipInfo]:
    """Yield the entries to unpack, each checked."""
    entries = opened.infolist()
    if len(entries) > limits.files:
        raise UnsafeArchive(f"The archive has {len(entries)} entries; at most {limits.files} are allowed.")
    total_bytes = sum(entry.file_size for entry in entries)
    if total_bytes > limits.total_bytes:
        raise UnsafeArchive(f"The archive unpacks to more than {limits.total_bytes} bytes.")
    if total_bytes > limits.free_bytes:
        raise InsufficientStorage(
            f"The archive unpacks to {total_bytes} bytes; the workspace has room for {limits.free_bytes}.",
            hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume, then try again.",
        )
    for entry in entries:
        _check_entry(entry)
        if not entry.is_dir() and not _is_litter(entry.filename):
            yield entry


def _check_entry(entry: zipfile.ZipInfo) -> None:
    if entry.header_offset < 0:
        raise zipfile.BadZipFile("an entry begins before the archive")
    # The name as it was stored: zipfile cuts `filename` at a NUL byte.
    stored = entry.orig_filename
    shown = stored if len(stored) <= 80 else f"{stored[:77]}..."
    parts = PurePosixPath(stored).parts
    if "\0" in stored or "\\" in stored or stored.startswith("/") or ".." in parts or ":" in stored[:2]:
        raise UnsafeArchive(f"The archive's entry {shown!r} leads outside of it.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise UnsafeArchive(f"The archive's entry {shown!r} is a link or a device, not a file.")
    if entry.flag_bits & _ENCRYPTED:
        raise UnsafeArchive(
            f"The archive's entry {shown!r} is encrypted.", hint="Pack it without a password."
        )
    if entry.compress_type not in _METHODS:
        raise UnsafeArchive(
            f"The archive's entry {shown!r} is packed in an unusual way.", hint="Use plain zip (deflate)."
        )


def _is_litter(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1].lower() in {
        "thumbs.db",
        "desktop.ini",
    }


def _allowance(entry: zipfile.ZipInfo, limits: ArchiveLimits) -> int:
    return entry.compress_size * limits.ratio + _RATIO_FLOOR_BYTES


def _copy(source: IO[bytes], target: Path, entry: zipfile.ZipInfo, most_bytes: int) -> int:
    written = 0
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > most_bytes:
                raise UnsafeArchive(
                    f"The archive's entry {entry.filename[:80]!r} unpacks to more bytes than it declares or than is safe."
                )
            file.write(chunk)
    return written
