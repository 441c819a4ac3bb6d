"""A file on its way to this machine: its parts, its digest, and what an earlier attempt left of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lorapod.client.errors import TransferFailed


@dataclass(frozen=True, kw_only=True)
class DownloadProgress:
    """How much of a file has arrived."""

    filename: str
    received_bytes: int
    size_bytes: int


class PartialDownload:
    """A file on its way, written as `<name>.part`."""

    def __init__(self, first: dict[str, Any], to: Path) -> None:
        """Open nothing yet."""
        self.first = first
        self.size_bytes: int = first["size_bytes"]
        self.sha256: str = first["sha256"]
        self._target = to / Path(first["filename"]).name if to.is_dir() else to
        self._partial = self._target.with_name(f"{self._target.name}.part")
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        #: Bytes that are here.
        self.received = 0

    def open(self) -> None:
        """Continue what an earlier attempt left."""
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._partial.open("ab+")
        self.received = _resume(self._file, self._digest, self.size_bytes)

    def add(self, part: dict[str, Any], source: str) -> None:
        """Write a part, if it is the next one.

        Raises:
            TransferFailed: it is damaged.
        """
        if self._file is not None and part["offset"] == self.received:
            data = decoded(part, source)
            self._file.write(data)
            self._digest.update(data)
            self.received += len(data)

    def progress(self) -> DownloadProgress:
        """Return how much is here."""
        return DownloadProgress(
            filename=self._target.name, received_bytes=self.received, size_bytes=self.size_bytes
        )

    def close(self) -> None:
        """Keep what is here for a later attempt."""
        if self._file is not None:
            self._file.close()

    def keep(self) -> Path | None:
        """Give the file its name if it is whole; otherwise delete it and return None."""
        assert self._file is not None, "it is open until it is kept"
        with self._file as file:
            file.flush()
            os.fsync(file.fileno())
        if self.received != self.size_bytes or self._digest.hexdigest() != self.sha256:
            self._partial.unlink()
            return None
        self._partial.replace(self._target)
        return self._target


def _resume(file: BinaryIO, digest: hashlib._Hash, size_bytes: int) -> int:
    """Read what an earlier attempt left into `digest`; return its size."""
    file.seek(0, 2)
    if file.tell() > size_bytes:
        file.truncate(0)
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    return file.tell()


def is_begun(to: Path) -> bool:
    """Return whether an earlier attempt left a part of the file, or of any file of the folder."""
    return any(to.glob("*.part")) if to.is_dir() else to.with_name(f"{to.name}.part").exists()


def decoded(part: dict[str, Any], source: str) -> bytes:
    """Return the bytes of a part.

    Raises:
        TransferFailed: it is damaged.
    """
    try:
        data = base64.b64decode(part["data"], validate=True)
    except (KeyError, binascii.Error) as error:
        raise TransferFailed(f"{source}: a part from the worker is not base64; download it again.") from error
    if len(data) != part["length"]:
        raise TransferFailed(
            f"{source}: a part has {len(data)} bytes instead of {part['length']}; download it again."
        )
    return data
