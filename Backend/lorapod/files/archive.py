"""Many files as one zip: the same files always make the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lorapod.errors import Conflict, InvalidInput, NotFound
from lorapod.kinds import FileKind, kind_of

#: Called in the packing thread with the bytes of the files packed so far; raise in it to stop packing.
Packed = Callable[[int], None]

#: Kinds that are compressed; weights, images and videos hardly shrink.
_DEFLATED = frozenset({FileKind.CAPTION, FileKind.LOG, FileKind.CONFIG})

#: Kinds that only grow: the beginning of the file never changes.
_GROWING = frozenset({FileKind.LOG})

_COPY_BYTES = 1 << 20
_FIRST_YEAR, _LAST_YEAR = 1980, 2107


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One file of an archive."""

    #: Its path in the archive: relative, with forward slashes.
    name: str
    path: Path
    size_bytes: int
    mtime_ns: int


def entries_of(files: Iterable[tuple[str, Path]]) -> list[ArchiveEntry]:
    """Return the entries sorted by name; a file that is named twice is packed once.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is a device or a folder, or no file is named.
    """
    entries: dict[str, ArchiveEntry] = {}
    seen: set[tuple[str, Path]] = set()
    for wanted, path in files:
        # A backslash separates folders on Windows.
        name = wanted.replace("\\", "_")
        if (name, path) in seen:
            continue
        seen.add((name, path))
        try:
            state = path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(
                f"There is no file {path.name!r}.", hint="`list_files` lists the files."
            ) from error
        if not stat.S_ISREG(state.st_mode):
            raise InvalidInput(f"{path.name} is not a file.")
        free = _free_name(name, entries)
        entries[free] = ArchiveEntry(
            name=free, path=path, size_bytes=state.st_size, mtime_ns=state.st_mtime_ns
        )
    if not entries:
        raise NotFound(
            "There is nothing to pack.", hint="`list_files` and `process_status` name what is there."
        )
    return [entries[name] for name in sorted(entries)]


def archive_key(entries: Sequence[ArchiveEntry]) -> str:
    """The same for the same unchanged files under the same names: 32 hexadecimal digits."""
    listing = [[entry.name, str(entry.path), entry.size_bytes, entry.mtime_ns] for entry in entries]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()[:32]


def write_archive(target: BinaryIO, entries: Sequence[ArchiveEntry], packed: Packed) -> None:
    """Write the zip; the same entries give the same bytes.

    Raises:
        Conflict: a file has changed since it was looked at.
        OSError: a file cannot be read, or the disk is full.
    """
    done_bytes = 0
    with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
        for entry in entries:
            with (
                entry.path.open("rb") as source,
                archive.open(_described(entry), "w", force_zip64=True) as copy,
            ):
                left = entry.size_bytes
                while left and (piece := source.read(min(_COPY_BYTES, left))):
                    copy.write(piece)
                    left -= len(piece)
                    done_bytes += len(piece)
                    packed(done_bytes)
                _check_unchanged(entry, os.fstat(source.fileno()), left)


def _check_unchanged(entry: ArchiveEntry, state: os.stat_result, left: int) -> None:
    grows = kind_of(entry.name) in _GROWING
    if left or not (grows or (state.st_size, state.st_mtime_ns) == (entry.size_bytes, entry.mtime_ns)):
        raise Conflict(
            f"{entry.path.name} changed while it was packed.",
            hint="Ask again once it is no longer written to.",
        )


def _described(entry: ArchiveEntry) -> zipfile.ZipInfo:
    moment = time.gmtime(entry.mtime_ns // 1_000_000_000)
    year = min(max(moment.tm_year, _FIRST_YEAR), _LAST_YEAR)
    described = zipfile.ZipInfo(entry.name, (year, *moment[1:6]))
    described.compress_type = zipfile.ZIP_DEFLATED if kind_of(entry.name) in _DEFLATED else zipfile.ZIP_STORED
    described.external_attr = 0o644 << 16
    described.file_size = entry.size_bytes
    return described


def _free_name(name: str, taken: Iterable[str]) -> str:
    number, free = 2, name
    stem, dot, suffix = name.rpartition(".")
    while free in taken:
        free = f"{stem} ({number}){dot}{suffix}" if stem else f"{name} ({number})"
        number += 1
    return free
