"""One file of an outbox: the events that one worker emitted of one run, a line each.

The first line is the header. Only the worker that made a part writes it. A worker that takes the process over starts the
next part, and its header says how many bytes of the part before count: what a late writer adds to that is ignored.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import sync_folder
from lorapod.events.models import Event

logger = logging.getLogger(__name__)

SUFFIX = ".jsonl"


@dataclass(frozen=True, kw_only=True)
class PartHeader:
    """The first line of a part."""

    #: The name of the part before it, and how many of its bytes count.
    previous: str | None = None
    previous_bytes: int = 0


@cache
def _adapter() -> TypeAdapter[PartHeader]:
    return TypeAdapter(PartHeader)


class OutboxPart:
    """A part of an outbox that this worker writes; safe for any thread."""

    def __init__(self, path: Path, header: PartHeader) -> None:
        """Make the file, which must not exist.

        Raises:
            FileExistsError: another worker or thread has made it.
            OSError: the disk is full or not writable.
        """
        self.path = path
        self._lock = threading.Lock()
        line = _adapter().dump_json(header) + b"\n"
        self._size_bytes = len(line)
        with path.open("xb") as file:
            file.write(line)
        sync_folder(path.parent)

    def append(self, event: Event, *, durable: bool) -> None:
        """Add an event, all of it or nothing; `durable`: it survives a power cut once this returns.

        Raises:
            OSError: the disk is full or not writable.
        """
        line = event.body() + b"\n"
        with self._lock:
            # Few system calls: between any two of them other threads may run, and this one waits.
            descriptor = os.open(self.path, os.O_WRONLY)
            try:
                # Overwrite what a failed attempt may have left.
                os.ftruncate(descriptor, self._size_bytes)
                if os.pwrite(descriptor, line, self._size_bytes) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                if durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._size_bytes += len(line)


def read_header(path: Path) -> PartHeader | None:
    """Return the header of a part; None if its writer died before it was written."""
    with path.open("rb") as file:
        line = file.readline()
    try:
        return _adapter().validate_json(line) if line.endswith(b"\n") else None
    except ValidationError:
        logger.warning("header of events cannot be read", extra={"path": str(path)})
        return None


def read_lines(path: Path, offset: int, *, until: int | None, limit: int) -> list[tuple[bytes, int]]:
    """Return complete lines from `offset` on, without the header, each with the offset after it.

    Args:
        path: a part.
        offset: 0, or the offset after a line.
        until: how many bytes of the part count; None: all.
        limit: most lines to return.
    """
    found: list[tuple[bytes, int]] = []
    with path.open("rb") as file:
        if offset == 0:
            offset = len(file.readline())
        file.seek(offset)
        while len(found) < limit:
            line = file.readline()
            offset += len(line)
            if not line.endswith(b"\n") or (until is not None and offset > until):
                break
            found.append((line, offset))
    return found


def parse(line: bytes, path: Path) -> Event | None:
    """Return the event of a line; None if it is damaged, or of a newer version than this worker knows."""
    try:
        return Event.model_validate(json.loads(line))
    except ValueError:
        logger.warning("event cannot be read", extra={"path": str(path)})
        return None
