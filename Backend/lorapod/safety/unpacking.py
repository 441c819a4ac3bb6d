"""What comes out of one archive: where each entry goes, how much it may be, and what is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lorapod.errors import Conflict, InsufficientStorage, UnsafeArchive, WorkerError
from lorapod.kinds import FileKind, kind_of

_CHUNK_BYTES = 1 << 20

#: An entry may grow this much beyond the ratio: small texts pack well.
_RATIO_FLOOR_BYTES = 1 << 20

_DRIVE = re.compile(r"[A-Za-z]:")
_DATASET_KINDS = {FileKind.IMAGE, FileKind.VIDEO, FileKind.CAPTION}


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much an archive may unpack to."""

    files: int = 20_000
    total_bytes: int = 20_000_000_000
    #: What the disk has room for.
    free_bytes: int = 20_000_000_000
    #: Unpacked bytes for each packed byte; images are hardly compressed, text about ten times.
    ratio: int = 200

    def check_total(self, total_bytes: int) -> None:
        """Refuse an archive by what it declares to unpack to.

        Raises:
            UnsafeArchive: that is more than is safe.
            InsufficientStorage: that is more than the disk has room for.
        """
        if total_bytes > self.total_bytes:
            raise UnsafeArchive(f"The archive unpacks to more than {self.total_bytes} bytes.")
        if total_bytes > self.free_bytes:
            raise InsufficientStorage(
                f"The archive unpacks to {total_bytes} bytes; the workspace has room for {self.free_bytes}.",
                hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume, then try again.",
            )

    def check_count(self, entries: int) -> None:
        """Refuse an archive with too many entries.

        Raises:
            UnsafeArchive: it has.
        """
        if entries > self.files:
            raise UnsafeArchive(f"The archive has {entries} entries; at most {self.files} are allowed.")

    def allowance_bytes(self, packed_bytes: int) -> int:
        """Return what so many packed bytes may unpack to."""
        return packed_bytes * self.ratio + _RATIO_FLOOR_BYTES


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """One file that was unpacked."""

    #: Folders and name inside the archive, with `/` between them; no part of it is `..`.
    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One file that was not unpacked."""

    name: str
    error: WorkerError


@dataclass(kw_only=True)
class Unpacking:
    """The files of one archive on their way into an empty folder, where each gets a number for a name."""

    into: Path
    limits: ArchiveLimits
    taken: dict[str, Unpacked] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    _written_bytes: int = 0

    def add(self, name: str, source: IO[bytes], *, most_bytes: int) -> None:
        """Write one entry; if the archive had one of the same name before, refuse this one alone.

        Raises:
            UnsafeArchive: more than `most_bytes` come out of it, or more of the archive than its limits allow.
            OSError: the disk is full or not writable.
        """
        if name in self.taken:
            error = Conflict(f"There are two files {name!r} in the archive; the first one counts.")
            self.refused.append(Refused(name=name, error=error))
            return
        target = self.into / f"{len(self.taken):05d}"
        self.taken[name] = Unpacked(name=name, path=target)
        left_bytes = min(self.limits.total_bytes, self.limits.free_bytes) - self._written_bytes
        self._written_bytes += _copy(source, target, name, min(left_bytes, most_bytes))

    def discard(self) -> None:
        """Remove what was written."""
        for file in self.taken.values():
            file.path.unlink(missing_ok=True)

    @property
    def result(self) -> tuple[Sequence[Unpacked], Sequence[Refused]]:
        """What was unpacked, and what was refused."""
        return list(self.taken.values()), self.refused


def inner_path(stored: str) -> str:
    r"""Return an entry's folders and name with `/` between them; `\` separates too, as Windows' tools write it.

    Raises:
        UnsafeArchive: it leads outside: it has a `..`, names a drive, or is absolute.
    """
    path = stored.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if "\0" in path or path.startswith("/") or ".." in parts or _DRIVE.match(path):
        raise UnsafeArchive(f"The archive's entry {shown(stored)!r} leads outside of it.")
    return "/".join(parts)


def is_litter(path: str) -> bool:
    """Return whether an operating system or a tool left the entry there; an image `.1.png` does not count."""
    *folders, name = path.split("/")
    if any(folder.startswith(".") or folder == "__MACOSX" for folder in folders):
        return True
    if name.startswith("."):
        return name.startswith("._") or kind_of(name) not in _DATASET_KINDS
    return name.lower() in {"thumbs.db", "desktop.ini"}


def shown(name: str) -> str:
    """Return an entry's name, shortened for an error."""
    return name if len(name) <= 80 else f"{name[:77]}..."


def _copy(source: IO[bytes], target: Path, name: str, most_bytes: int) -> int:
    written = 0
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > most_bytes:
                raise UnsafeArchive(
                    f"The archive's entry {shown(name)!r} unpacks to more bytes than it declares or than is safe."
                )
            file.write(chunk)
    return written
