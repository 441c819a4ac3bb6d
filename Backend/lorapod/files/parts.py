"""Files read a part at a time, each small enough for one reply."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import InvalidInput, NotFound

#: Bytes of a reply around the data: names, digest, and a path of 4,095 bytes in which JSON escapes every one.
REPLY_OVERHEAD_BYTES = 32_768

#: The least that a reply carries, however small it is configured.
_PART_MIN_BYTES = 3


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some bytes of a file, and the file's size at that moment."""

    data: bytes
    offset: int
    size_bytes: int

    @property
    def next_offset(self) -> int:
        """Where the next part begins."""
        return self.offset + len(self.data)

    @property
    def eof(self) -> bool:
        """Whether the file ends here."""
        return self.next_offset >= self.size_bytes


def largest_part_bytes(max_reply_bytes: int) -> int:
    """How much of a file fits a reply of that size as base64, in whole groups of three bytes."""
    return max(_PART_MIN_BYTES, (max_reply_bytes - REPLY_OVERHEAD_BYTES) // 4 * 3)


def read_part(path: Path, *, offset: int, length: int | None, most_bytes: int) -> Part:
    """Read `length` bytes from `offset`, but `most_bytes` at most; fewer at the file's end.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is a folder or a device, or `offset` lies beyond its end.
        OSError: it cannot be read.
    """
    not_a_file = InvalidInput(f"{path.name} is not a file.", hint="`list_files` names the files of a folder.")
    try:
        opened = open(path, "rb", buffering=0, opener=_nonblocking)  # noqa: SIM115 - Path.open has no opener
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"There is no file {path.name!r}.", hint="`list_files` lists the files.") from error
    except IsADirectoryError as error:
        raise not_a_file from error
    with opened as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise not_a_file
        if offset > state.st_size:
            raise InvalidInput(f"offset: {offset} lies beyond the end of {path.name}, {state.st_size} bytes.")
        wanted = most_bytes if length is None else min(length, most_bytes)
        wanted = min(wanted, state.st_size - offset)
        file.seek(offset)
        pieces: list[bytes] = []
        while wanted and (piece := file.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return Part(data=data, offset=offset, size_bytes=state.st_size)


def _nonblocking(name: str, flags: int) -> int:
    """Refuse a pipe, which would block the reader."""
    return os.open(name, flags | os.O_NONBLOCK)
