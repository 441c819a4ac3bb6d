"""The lease of the one builder of a volume: one makes the environment at a time, as long as it shows that it lives.

This saves work; it is not what keeps an environment whole (see `environments`). The turn is the folder `building`, which
only one can make. Its holder counts up in a file in it; a builder that sees the count stand still for long enough takes
the folder away by a rename, which again only one can do.

The holder writes by the folder's descriptor, never by its path: what a builder that was frozen writes late lands in the
folder that was taken away from it, not in the one of the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lorapod.lease import Lease, LeaseCount, LeaseLost, LeaseState, LeaseTimes, LivenessTracker

FOLDER = "building"
_NEWS = "news.json"


class BuildTurn:
    """One builder's turn; `tell`, `check` and `leave` are for any thread."""

    def __init__(
        self, folder: Path, times: LeaseTimes, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Wait for the turn in `folder`."""
        self._place = folder / FOLDER
        self._token = secrets.token_hex(8)
        self._count = LeaseCount(times, monotonic)
        self._lease = Lease(self._count)
        self._others = LivenessTracker(times.expiry_s, monotonic)
        #: The folder that this builder made, while it has the turn.
        self._folder: int | None = None
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Return whether the turn is this builder's from now on; ask again until it is.

        Raises:
            OSError: the volume cannot be written.
        """
        try:
            self._place.mkdir(parents=True)
        except FileExistsError:
            self._take_away_if_left()
            return False
        if (folder := self._open_as_the_first()) is None:
            return False
        with self._lock:
            self._folder = folder
            self._show({}, rested=True)
            self._lease = Lease(self._count)
        return True

    def tell(self, news: Mapping[str, Any]) -> None:
        """Show that this builder lives, and how far it is; do nothing without the turn."""
        with self._lock:
            self._show(news)

    def check(self) -> LeaseState:
        """Return what is known of this builder's turn, after a look at the volume."""
        with self._lock:
            if self._folder is None:
                return LeaseState.LOST
            try:
                return self._lease.confirm(self._prove)
            except OSError:
                return self._lease.state

    def news(self) -> Mapping[str, Any]:
        """Return how far the builder is whose turn it is."""
        try:
            stored = json.loads(self._shown())
        except ValueError:
            return {}
        news = stored.get("news") if isinstance(stored, dict) else None
        return news if isinstance(news, dict) else {}

    def leave(self) -> None:
        """Let the next builder have the turn; do nothing without it."""
        with self._lock:
            folder, self._folder = self._folder, None
            if folder is None:
                return
            with contextlib.suppress(OSError):
                for entry in list(os.scandir(folder)):
                    os.unlink(entry.name, dir_fd=folder)
                if self._is_at_its_place(folder):
                    # Fails if it is the folder of the next builder by now: that one is not empty.
                    self._place.rmdir()
            os.close(folder)

    def _open_as_the_first(self) -> int | None:
        """Open the folder, and make the first file in it; None if it is another builder's meanwhile."""
        folder = None
        try:
            folder = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY)
            os.close(os.open(_NEWS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder))
        except (FileNotFoundError, FileExistsError):
            if folder is not None:
                os.close(folder)
            return None
        except BaseException:
            if folder is not None:
                os.close(folder)
            raise
        return folder

    def _show(self, news: Mapping[str, Any], *, rested: bool = False) -> None:
        """`_lock` is held. What cannot be written does not count: the lease becomes uncertain."""
        if (folder := self._folder) is None:
            return

        def write(count: int) -> None:
            temporary = f".{_NEWS}.tmp"
            data = json.dumps({"token": self._token, "beat": count, "news": dict(news)}).encode()
            with os.fdopen(
                os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644, dir_fd=folder), "wb"
            ) as file:
                file.write(data)
            os.replace(temporary, _NEWS, src_dir_fd=folder, dst_dir_fd=folder)

        with contextlib.suppress(OSError):
            self._count.renew(write, rested=rested)

    def _prove(self) -> None:
        """`_lock` is held.

        Raises:
            LeaseLost: another builder has taken the folder away.
        """
        if self._folder is None or not self._is_at_its_place(self._folder):
            raise LeaseLost(self._place)

    def _is_at_its_place(self, folder: int) -> bool:
        try:
            return os.path.samestat(self._place.stat(), os.fstat(folder))
        except FileNotFoundError:
            return False

    def _take_away_if_left(self) -> None:
        """Take the folder away if its holder has shown the same for too long."""
        shown = b""

        def look() -> bytes:
            nonlocal shown
            shown = self._shown()
            return shown

        if not self._others.has_expired(FOLDER, look):
            return
        self._others.forget_all_but(())
        away = self._place.with_name(f".{FOLDER}_{secrets.token_hex(6)}")
        with contextlib.suppress(OSError):
            self._place.rename(away)
            if self._shown(away) != shown:
                # This builder stood still after its look, and this is the turn of one that lives.
                away.rename(self._place)
            shutil.rmtree(away, ignore_errors=True)

    def _shown(self, place: Path | None = None) -> bytes:
        try:
            return ((place or self._place) / _NEWS).read_bytes()
        except OSError:
            return b""
