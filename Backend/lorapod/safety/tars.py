"""Read tar archives, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lorapod.errors import InvalidInput, UnsafeArchive
from lorapod.safety.code_pages import decode_together
from lorapod.safety.unpacking import Unpacking, inner_path, is_litter, shown

_GZIP_MAGIC = b"\x1f\x8b"
_TAR_MAGIC = b"ustar"
_TAR_MAGIC_PLACE = 257

#: What may be read at once: a longer header fills the memory, and files are read in smaller pieces.
_READ_MAX_BYTES = 4 << 20

#: What tarfile and zlib raise on damaged archives; a chain of headers without a file ends in a RecursionError.
_DAMAGE = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, LookupError, RecursionError)


def is_tar(archive: Path) -> bool:
    """Return whether the file is a tar archive, or a gzip file with one inside; reads the first bytes only."""
    try:
        with _opened(archive) as file:
            return file.read(512)[_TAR_MAGIC_PLACE:].startswith(_TAR_MAGIC)
    except (zlib.error, EOFError, gzip.BadGzipFile):
        return False


def unpack_tar(archive: Path, unpacking: Unpacking) -> None:
    """Unpack a tar archive; see `lorapod.safety.archives.unpack`."""
    try:
        with _opened(archive) as file, tarfile.open(fileobj=_Bounded(file), mode="r:") as opened:
            # Read twice: what is unsafe is refused before anything is written.
            for member, path in _files(opened, unpacking, packed_bytes=archive.stat().st_size):
                source = opened.extractfile(member)
                assert source is not None, "only files are left"
                with source:
                    unpacking.add(path, source, most_bytes=member.size)
    except _DAMAGE as error:
        raise InvalidInput(
            "The tar archive is damaged.", hint="Pack it again, and send the new one."
        ) from error


def _files(
    opened: tarfile.TarFile, unpacking: Unpacking, *, packed_bytes: int
) -> Sequence[tuple[tarfile.TarInfo, str]]:
    """Return the members to unpack with their paths, each checked."""
    limits = unpacking.limits
    members: list[tarfile.TarInfo] = []
    total_bytes = 0
    for member in opened:
        members.append(member)
        total_bytes += member.size
        # Checked before tarfile looks for the next member, behind the bytes that this one declares.
        limits.check_count(len(members))
        limits.check_total(total_bytes)
        if total_bytes > limits.allowance_bytes(packed_bytes):
            raise UnsafeArchive("The archive unpacks to more bytes than is safe.")
    raw = [member.name.encode("utf-8", "surrogateescape") for member in members]
    paths = [inner_path(name) for name in decode_together(raw)]
    for member, path in zip(members, paths, strict=True):
        if not member.isreg() and not member.isdir():
            raise UnsafeArchive(f"The archive's entry {shown(path)!r} is a link or a device, not a file.")
    return [
        (member, path)
        for member, path in zip(members, paths, strict=True)
        if member.isreg() and path and not is_litter(path)
    ]


@contextmanager
def _opened(archive: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with archive.open("rb") as file:
        packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.open(file) as unpacked:
            yield unpacked


class _Bounded(io.RawIOBase):
    """A file of which tarfile reads no header that would fill the memory."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > _READ_MAX_BYTES:
            raise UnsafeArchive("The archive has a header that is too large.")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
