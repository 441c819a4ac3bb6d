"""Zip archives of workspace files: each is built once, and kept for a day."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lorapod.errors import InsufficientStorage, TooLarge
from lorapod.files.archive import ArchiveEntry, Packed, archive_key, write_archive
from lorapod.library_errors import DISK_FULL
from lorapod.workspace import Workspace

#: Its name below `output/`; no process id has this form.
FOLDER = "archives"

#: Seconds after its last request at which an archive is removed, when the next one is built.
KEEP_S = 86_400.0

#: The most archives that are kept: those that were requested last.
KEEP_MOST = 20

#: Room in a zip for the names and places of one file.
_ENTRY_BYTES = 1024

_LOOK_S = 0.1


class ArchiveCache:
    """Builds archives, and finds those that exist; safe for many threads, and for several workers at once."""

    def __init__(self, *, workspace: Workspace, max_bytes: int, keep_free_bytes: int) -> None:
        """Keep archives of up to `max_bytes`, and leave `keep_free_bytes` of the disk free."""
        self._workspace = workspace
        self._max_bytes = max_bytes
        self._keep_free_bytes = keep_free_bytes

    @property
    def folder(self) -> Path:
        """Return the folder of the archives."""
        return self._workspace.output / FOLDER

    def archive(self, entries: Sequence[ArchiveEntry], packed: Packed) -> Path:
        """Return the zip of these files, built now or before; blocks while it is built, here or by another worker.

        `packed` is called now and then meanwhile, with the number it had last while another builds.

        Raises:
            TooLarge: the files are larger than an archive may be.
            InsufficientStorage: the disk has no room for it; nothing stays behind.
            Conflict: a file changed meanwhile.
            OSError: a file cannot be read or the folder not written.
        """
        path = self.folder / f"archive_{archive_key(entries)}.zip"
        if self._exists(path):
            return path
        self._check_size(entries)
        self.folder.mkdir(exist_ok=True)
        with _alone(path.with_name(f".{path.name}.lock"), packed):
            if not self._exists(path):
                self.sweep()
                self._check_room(entries)
                _build(path, entries, packed)
        return path

    def sweep(self) -> None:
        """Remove archives that were not requested for a day, and the remains of interrupted builds."""
        oldest_s = time.time() - KEEP_S
        archives: list[tuple[float, Path]] = []
        for path in self.folder.glob("*.zip"):
            with contextlib.suppress(FileNotFoundError):
                archives.append((path.stat().st_atime, path))
        archives.sort(reverse=True)
        for place, (used_s, path) in enumerate(archives):
            if place >= KEEP_MOST - 1 or used_s < oldest_s:
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".archive_*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest_s:
                    path.unlink()

    @staticmethod
    def _exists(path: Path) -> bool:
        """Return whether the archive exists; if it does, mark it as used now."""
        try:
            # The time of its content stays: digests go by it.
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return False
        return True

    def _check_size(self, entries: Sequence[ArchiveEntry]) -> None:
        if (needed_bytes := _needed_bytes(entries)) > self._max_bytes:
            raise TooLarge(
                f"The archive would have {needed_bytes} bytes; {self._max_bytes} are allowed.",
                hint="Ask for fewer files, or fetch them one by one with `download_file`.",
            )

    def _check_room(self, entries: Sequence[ArchiveEntry]) -> None:
        free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes - self._keep_free_bytes < (needed_bytes := _needed_bytes(entries)):
            raise InsufficientStorage(
                f"The archive needs {needed_bytes} bytes; the workspace has {free_bytes} bytes free, "
                f"of which {self._keep_free_bytes} are kept.",
                hint="Delete old outputs with `delete` (`lorapod rm`), or fetch the files one by one with `download_file`.",
            )


def _needed_bytes(entries: Sequence[ArchiveEntry]) -> int:
    return sum(entry.size_bytes + _ENTRY_BYTES for entry in entries)


def _build(path: Path, entries: Sequence[ArchiveEntry], packed: Packed) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            write_archive(file, entries, packed)
            file.flush()
            os.fsync(file.fileno())
        # As old as its newest file: digests are kept only of files that are not new.
        newest_ns = max(entry.mtime_ns for entry in entries)
        os.utime(temporary, ns=(time.time_ns(), newest_ns))
        temporary.replace(path)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise InsufficientStorage(
                "The workspace's disk ran full while the archive was built; nothing of it was kept.",
                hint="Delete old outputs with `delete` (`lorapod rm`), or fetch the files one by one with `download_file`.",
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(lock_path: Path, packed: Packed) -> Iterator[None]:
    """Be the only builder of one archive, on this worker and on every other that shares the volume.

    Where the volume has no locks, two may build at once: the bytes are the same, and the last rename counts.
    """
    with lock_path.open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                packed(0)
                time.sleep(_LOOK_S)
            except OSError:
                break
        yield
