"""Files that arrive in parts, in several requests and perhaps at several workers.

A partial file is hidden, and its length is the only state: all bytes before it have arrived, in order. A part is
written at its own offset. So two workers that get the same part at once (a caller tried again) write the same bytes to
the same place; bytes that differ from those already there are refused. That needs no lock; on a network volume locks
cannot be trusted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.errors import Conflict, InvalidInput


@dataclass(frozen=True, kw_only=True)
class PartialFile:
    """One file that has not arrived completely."""

    #: Hidden folder of the dataset's partial files.
    folder: Path
    filename: str
    size_bytes: int
    #: Hexadecimal digest of the whole, if declared; files of the same name and size but with other digests never mix.
    sha256: str | None

    @property
    def path(self) -> Path:
        """Where the bytes are written."""
        return self.folder / f"{self._key}.part"

    @property
    def received_bytes(self) -> int:
        """How many bytes have arrived; the only offset that the next part may have."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def receipt(self) -> str | None:
        """What `note_completed` wrote if the file was completed lately, and a part is sent again; else None."""
        if self.path.exists():
            return None
        try:
            return self._receipt.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write(self, offset: int, pieces: Iterable[bytes]) -> int:
        """Add one part; return the number of bytes that have arrived in all.

        Raises:
            Conflict: the part begins beyond what has arrived, or differs from it.
            InvalidInput: it goes beyond the whole, or `pieces` raised it.
            OSError: the disk is full, or failed. After any error the file is as it was before.
        """
        if offset > 0 and not self.path.exists():
            raise _gap(self.filename, offset, 0)
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        before = os.fstat(descriptor).st_size
        try:
            if offset > before:
                raise _gap(self.filename, offset, before)
            return max(before, self._write_at(descriptor, offset, before, pieces))
        except BaseException:
            if os.fstat(descriptor).st_size > before:
                os.ftruncate(descriptor, before)
            if before == 0:
                self.path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def claim(self, target: Path) -> None:
        """Move the whole file to `target`, to be checked; only one worker can.

        Raises:
            Conflict: another request has just taken it.
        """
        try:
            self.path.rename(target)
        except FileNotFoundError as error:
            raise Conflict(f"{self.filename} is being completed by another request.") from error

    def discard(self) -> None:
        """Remove what has arrived: the file is refused."""
        self.path.unlink(missing_ok=True)

    def note_completed(self, receipt: str) -> None:
        """Write down the answer for the whole file, for parts that are sent again."""
        write_atomically(self._receipt, receipt.encode())

    @property
    def _receipt(self) -> Path:
        return self.folder / f"{self._key}.done"

    @property
    def _key(self) -> str:
        identity = "\0".join((self.filename, str(self.size_bytes), self.sha256 or ""))
        return hashlib.sha256(identity.encode()).hexdigest()[:32]

    def _write_at(self, descriptor: int, offset: int, before: int, pieces: Iterable[bytes]) -> int:
        place = offset
        for piece in pieces:
            if place + len(piece) > self.size_bytes:
                raise InvalidInput(
                    f"{self.filename}: the part ends after its size_bytes of {self.size_bytes}."
                )
            known = min(len(piece), max(0, before - place))
            if known and os.pread(descriptor, known, place) != piece[:known]:
                raise Conflict(
                    f"{self.filename}: the part at {offset} differs from the bytes that have already arrived.",
                    hint="Give the whole file's sha256 with every part, or send it again under another name.",
                    details=[{"field": "offset", "expected_offset": before}],
                )
            view = memoryview(piece)[known:]
            place += known
            while view:
                written = os.pwrite(descriptor, view, place)
                view, place = view[written:], place + written
        return place


def _gap(filename: str, offset: int, received: int) -> Conflict:
    return Conflict(
        f"{filename}: a part at offset {offset} cannot be next; {received} bytes have arrived.",
        hint=f"Continue at offset {received}.",
        details=[{"field": "offset", "expected_offset": received}],
    )
