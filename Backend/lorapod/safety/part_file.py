"""A download that is not complete: a file with another name, from which a later attempt can resume."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from lorapod.atomic import replace_file
from lorapod.errors import InsufficientStorage, TooLarge
from lorapod.library_errors import DISK_FULL

_CHUNK_BYTES = 1 << 20

#: Bytes between two checks of the free space.
_CHECK_EVERY_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Version:
    """What a server sends to tell one content of a URL from the next."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def if_range(self) -> str | None:
        """The value of `If-Range`, which asks for the rest only if the content is still the same, byte by byte."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def __bool__(self) -> bool:
        return bool(self.etag or self.last_modified)


@dataclass(frozen=True, kw_only=True)
class DiskBudget:
    """How much of the disk a download may take."""

    max_bytes: int
    #: Bytes that have to stay free.
    keep_free_bytes: int


class PartFile:
    """The bytes of `target` that have arrived, in `<name>.part`; their URL and version are in `<name>.part.json`."""

    def __init__(self, target: Path, address_digest: str, room: DiskBudget) -> None:
        """Read and write nothing yet; `address_digest` is the digest of the URL."""
        self._target = target
        self._path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        self._address_digest = address_digest
        self._room = room
        self._file: IO[bytes] | None = None
        # `close` waits for a write in another thread: the number of a closed file soon belongs to another file.
        self._writing = threading.Lock()
        self._digest = hashlib.sha256()
        self._next_check_bytes = 0
        self.size_bytes = 0
        self.version = Version()

    def open(self) -> None:
        """Open the file, and read once what an earlier run has left if the download can resume from it."""
        self.version = self._noted()
        if self.version.if_range is None:
            self._path.unlink(missing_ok=True)
        self._file = self._path.open("ab", buffering=0)
        self.size_bytes = self._file.tell()
        if self.size_bytes:
            with self._path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    self._digest.update(chunk)

    def close(self) -> None:
        """Close the file; what has arrived stays, for the next attempt."""
        with self._writing:
            if self._file is not None:
                self._file.close()
                self._file = None
        if self._path.exists() and not self._path.stat().st_size:
            self.discard()

    @property
    def _opened(self) -> IO[bytes]:
        assert self._file is not None, "a part file is opened first"
        return self._file

    def restart(self, version: Version) -> None:
        """Begin again at the first byte, of the content that `version` names.

        Raises:
            InsufficientStorage: the disk is full.
        """
        self._opened.truncate(0)
        self._opened.seek(0)
        self._digest = hashlib.sha256()
        self.size_bytes = self._next_check_bytes = 0
        self.version = version
        note = {"address": self._address_digest, **asdict(version)}
        try:
            replace_file(self._note, json.dumps(note).encode())
        except OSError as error:
            raise self._as_worker_error(error) from error

    def expect(self, total_bytes: int | None) -> None:
        """Check that the whole will fit, before it arrives.

        Raises:
            TooLarge: it is larger than allowed.
            InsufficientStorage: the disk is too full.
        """
        if total_bytes is not None and total_bytes > self._room.max_bytes:
            raise self._too_large(total_bytes)
        self._check_room(max(0, (total_bytes or 0) - self.size_bytes))

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            TooLarge: it becomes larger than allowed.
            InsufficientStorage: the disk is full, or nearly full.
            OSError: the disk failed.
        """
        if self.size_bytes + len(data) > self._room.max_bytes:
            raise self._too_large(self.size_bytes + len(data))
        if self.size_bytes >= self._next_check_bytes:
            self._check_room(len(data))
            self._next_check_bytes = self.size_bytes + _CHECK_EVERY_BYTES
        view = memoryview(data)
        with self._writing:
            try:
                while view:
                    view = view[self._opened.write(view) :]
            except OSError as error:
                raise self._as_worker_error(error) from error
            self._digest.update(data)
            self.size_bytes += len(data)

    @property
    def intact(self) -> bool:
        """Whether the file is what was written here: a worker that was marked dead by mistake may write too."""
        return os.fstat(self._opened.fileno()).st_size == self.size_bytes

    def finish(self) -> str:
        """Rename the complete file to `target`; return its sha256 in hexadecimal."""
        self._path.replace(self._target)
        self._note.unlink(missing_ok=True)
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Remove the file and its note."""
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _noted(self) -> Version:
        try:
            note = json.loads(self._note.read_bytes())
            if note["address"] == self._address_digest:
                return Version(etag=note["etag"], last_modified=note["last_modified"])
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            pass
        return Version()

    def _check_room(self, needed_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._target.parent).free
        if free_bytes - needed_bytes < self._room.keep_free_bytes:
            raise InsufficientStorage(
                f"The download needs {needed_bytes} bytes more; the workspace has {free_bytes} bytes free, "
                f"of which {self._room.keep_free_bytes} are kept.",
                hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume, then try again.",
            )

    def _too_large(self, size_bytes: int) -> TooLarge:
        return TooLarge(
            f"The download has {size_bytes} bytes or more; at most {self._room.max_bytes} are allowed."
        )

    @staticmethod
    def _as_worker_error(error: OSError) -> Exception:
        if error.errno not in DISK_FULL:
            return error
        return InsufficientStorage(
            "The workspace's disk ran full during a download; nothing of it was kept.",
            hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume, then try again.",
        )
