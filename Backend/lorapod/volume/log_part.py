"""Parts of a process's log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.port import VolumeFiles

_TAIL_BYTES_PER_LINE = 400


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """A piece of a log; offsets in bytes."""

    text: str
    offset: int
    next_offset: int
    #: Whether it reaches the current end of the log.
    eof: bool


def read_log(path: Path, offset: int, limit: int, *, files: VolumeFiles = LOCAL_FILES) -> LogPart:
    """Return up to `limit` bytes of a log from `offset` on; a negative offset counts from the end.

    A part never ends inside a character, so that parts put together are the log. A log that does not exist yet is empty.
    """
    try:
        part = files.read(path, offset=offset, length=limit)
    except FileNotFoundError:
        return LogPart(text="", offset=0, next_offset=0, eof=True)
    data, begin, size = part.data, part.offset, part.size_bytes
    if begin + len(data) < size:
        data = _whole_characters(data)
    end = begin + len(data)
    return LogPart(text=data.decode(errors="replace"), offset=begin, next_offset=end, eof=end >= size)


def read_log_tail(path: Path, lines: int, *, files: VolumeFiles = LOCAL_FILES) -> list[str]:
    """Return the last lines of a log, oldest first, without line ends."""
    part = read_log(path, -lines * _TAIL_BYTES_PER_LINE, lines * _TAIL_BYTES_PER_LINE, files=files)
    return part.text.splitlines()[-lines:]


def _whole_characters(data: bytes) -> bytes:
    """Return `data` without the first bytes of a UTF-8 character whose rest is missing."""
    for back in range(1, min(4, len(data)) + 1):
        lead = data[-back]
        if lead & 0xC0 != 0x80:
            needed = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
            return data[:-back] if needed > back else data
    return data
