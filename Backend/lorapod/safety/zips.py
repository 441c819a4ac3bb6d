"""Read zip archives, whichever tool of whichever language made them."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from lorapod.errors import InvalidInput, UnsafeArchive
from lorapod.safety.code_pages import decode_together
from lorapod.safety.unpacking import ArchiveLimits, Unpacking, inner_path, is_litter, shown

#: Most bytes of one entry in the list of contents: its fixed part, a name and some extra fields.
_LISTING_BYTES_PER_ENTRY = 512

_END_RECORD = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\5\6"
_COMMENT_MAX_BYTES = 65_535
_ENCRYPTED = 0x1
_UTF8 = 0x800
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

#: The extra field with the name in UTF-8, beside one in a code page: version, CRC of the other name, name.
_UNICODE_NAME = struct.Struct("<BL")
_UNICODE_NAME_ID = 0x7075

#: What zipfile and zlib raise on damaged archives.
_DAMAGE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, ValueError, LookupError, NotImplementedError, struct.error,
)  # fmt: skip


def unpack_zip(archive: Path, unpacking: Unpacking) -> None:
    """Unpack a zip archive; see `lorapod.safety.archives.unpack`."""
    _check_listing(archive, unpacking.limits)
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry, path in list(_files(opened, unpacking.limits)):
                most_bytes = unpacking.limits.allowance_bytes(entry.compress_size)
                with opened.open(entry) as source:
                    unpacking.add(path, source, most_bytes=most_bytes)
    except _DAMAGE as error:
        raise InvalidInput(
            "The zip archive is damaged.", hint="Pack it again, and send the new one."
        ) from error


def ends_as_zip(archive: Path) -> bool:
    """Return whether the file has the end of a zip archive; such an archive may begin with anything."""
    return _end_record(archive) is not None


def _end_record(archive: Path) -> tuple[int, ...] | None:
    with archive.open("rb") as file:
        size_bytes = file.seek(0, 2)
        file.seek(max(0, size_bytes - _COMMENT_MAX_BYTES - _END_RECORD.size))
        tail = file.read()
    place = tail.rfind(_END_MAGIC)
    if place < 0 or len(tail) - place < _END_RECORD.size:
        return None
    return _END_RECORD.unpack_from(tail, place)


def _check_listing(archive: Path, limits: ArchiveLimits) -> None:
    """Refuse a list of contents that would fill the memory, before zipfile reads it."""
    fields = _end_record(archive)
    if fields is None:
        raise InvalidInput(
            "The file is not a zip archive, or it is cut off.", hint="Pack it again, and send all of it."
        )
    entries, listing_bytes = fields[4], fields[5]
    if entries == 0xFFFF or entries > limits.files or listing_bytes > limits.files * _LISTING_BYTES_PER_ENTRY:
        raise UnsafeArchive(f"The archive has too many entries; at most {limits.files} are allowed.")


def _files(opened: zipfile.ZipFile, limits: ArchiveLimits) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Yield the entries to unpack with their paths, each checked."""
    entries = opened.infolist()
    limits.check_count(len(entries))
    limits.check_total(sum(entry.file_size for entry in entries))
    for entry, name in zip(entries, _names(entries), strict=True):
        path = inner_path(name)
        _check_entry(entry, name)
        if path and not name.endswith(("/", "\\")) and not is_litter(path):
            yield entry, path


def _names(entries: Sequence[zipfile.ZipInfo]) -> Sequence[str]:
    """Return each entry's name as its archiver meant it; zipfile reads names without a flag as cp437."""
    names = [_declared_name(entry) for entry in entries]
    unclear = [place for place, name in enumerate(names) if name is None]
    decoded = decode_together([_raw(entries[place]) for place in unclear])
    meant = dict(zip(unclear, decoded, strict=True))
    return [meant.get(place, name or "") for place, name in enumerate(names)]


def _declared_name(entry: zipfile.ZipInfo) -> str | None:
    """Return the name if the archive says how it is encoded, or it is ASCII."""
    # The name as it was stored: zipfile cuts `filename` at a NUL byte.
    if entry.flag_bits & _UTF8 or entry.orig_filename.isascii():
        return entry.orig_filename
    extra, place = entry.extra, 0
    while place + 4 <= len(extra):
        field_id, size_bytes = struct.unpack_from("<HH", extra, place)
        value = extra[place + 4 : place + 4 + size_bytes]
        place += 4 + size_bytes
        if field_id == _UNICODE_NAME_ID and len(value) > _UNICODE_NAME.size:
            _, checksum = _UNICODE_NAME.unpack_from(value)
            if checksum == zlib.crc32(_raw(entry)):
                return value[_UNICODE_NAME.size :].decode("utf-8")
    return None


def _raw(entry: zipfile.ZipInfo) -> bytes:
    return entry.orig_filename.encode("cp437")


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    if entry.header_offset < 0:
        raise zipfile.BadZipFile("an entry begins before the archive")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise UnsafeArchive(f"The archive's entry {shown(name)!r} is a link or a device, not a file.")
    if entry.flag_bits & _ENCRYPTED:
        raise UnsafeArchive(
            f"The archive's entry {shown(name)!r} is encrypted.", hint="Pack it without a password."
        )
    if entry.compress_type not in _METHODS:
        raise UnsafeArchive(
            f"The archive's entry {shown(name)!r} is packed in an unusual way.",
            hint="Use plain zip (deflate).",
        )
