"""One edit of a dataset at a time, over all workers of the workspace."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from lorapod.errors import Conflict

#: A lock that was not renewed for so long, in seconds of the file system's clock, is a killed worker's.
ABANDONED_S = 60.0
_RENEW_S = 10.0


class EditLock:
    """A folder that only one worker can make; renewed by a thread while it is held."""

    def __init__(self, path: Path, dataset: str) -> None:
        """Lock nothing yet; `dataset` is the name in errors."""
        self._path = path
        self._dataset = dataset
        self._released = threading.Event()

    def __enter__(self) -> None:
        """Take the lock.

        Raises:
            Conflict: another edit is under way.
            OSError: the volume failed.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._path.mkdir()
        except FileExistsError:
            self._take_over()
        threading.Thread(target=self._renew, name="edit-lock", daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self._released.set()
        with suppress(OSError):
            self._path.rmdir()

    def _take_over(self) -> None:
        """Take the lock of a killed worker."""
        probe = _probe(self._path)
        try:
            if _age_s(self._path, probe) < ABANDONED_S:
                raise Conflict(
                    f"Another edit of the dataset {self._dataset!r} is under way; nothing was changed.",
                    hint="Try again in a minute.",
                )
            # Of several workers that see the old lock, one moves it away.
            self._path.rename(probe)
            self._path.mkdir()
        except (FileNotFoundError, FileExistsError) as error:
            raise Conflict(
                f"Another edit of the dataset {self._dataset!r} has just begun; nothing was changed.",
                hint="Try again in a minute.",
            ) from error
        finally:
            with suppress(OSError):
                probe.rmdir()

    def _renew(self) -> None:
        while not self._released.wait(_RENEW_S):
            with suppress(OSError):
                os.utime(self._path)


def is_held(path: Path) -> bool:
    """Return whether a worker that is alive holds the lock.

    Raises:
        OSError: the volume failed.
    """
    if not path.exists():
        return False
    try:
        probe = _probe(path)
    except FileNotFoundError:
        return False
    try:
        return _age_s(path, probe) < ABANDONED_S
    except FileNotFoundError:
        return False
    finally:
        with suppress(OSError):
            probe.rmdir()


def _probe(path: Path) -> Path:
    """Make a folder beside the lock, by which the file system's clock is read."""
    probe = path.with_name(f".{secrets.token_hex(4)}.lock")
    probe.mkdir()
    return probe


def _age_s(path: Path, probe: Path) -> float:
    return probe.stat().st_mtime - path.stat().st_mtime
