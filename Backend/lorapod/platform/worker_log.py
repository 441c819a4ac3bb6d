"""The last lines of a worker's log, read from a stream of server-sent events that never ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Protocol

import urllib3
from pydantic import ValidationError

from lorapod.platform.models import PlatformModel


class WorkerLogLine(PlatformModel):
    """One line."""

    #: RFC 3339.
    ts: str = ""
    #: `container`: the worker's output; `system`: the machine's word on its container.
    source: str = ""
    line: str


class ByteStream(Protocol):
    """What urllib3's answers can do."""

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:  # noqa: FBT001 -- urllib3's form
        """Return what is there, at least one byte; nothing at the end."""


def read_tail(stream: ByteStream, *, lines: int, patience_s: float) -> list[WorkerLogLine]:
    """Return lines until there are `lines`, the stream is silent, ends, or `patience_s` are over."""
    deadline = time.monotonic() + patience_s
    found: list[WorkerLogLine] = []
    rest = b""
    try:
        while len(found) < lines and time.monotonic() < deadline:
            piece = stream.read1(1 << 16)
            if not piece:
                break
            *whole, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n")
            found += _parsed(whole)
    except urllib3.exceptions.HTTPError:
        # Silence: everything that was there has come.
        pass
    return found[-lines:] if lines else []


def _parsed(lines: list[bytes]) -> Iterator[WorkerLogLine]:
    for line in lines:
        name, _, value = line.partition(b":")
        if name != b"data":
            continue
        try:
            yield WorkerLogLine.model_validate(json.loads(value))
        except (ValueError, ValidationError):
            continue
