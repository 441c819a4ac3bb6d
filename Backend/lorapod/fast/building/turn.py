"""Whose turn it is to make an environment: one worker's of a volume, for as long as it shows that it lives.

This saves work; it is not what keeps an environment whole (see `environments`). A turn is a folder, which only one can make.
Its holder counts a number up in it; whoever sees the number stand still for long enough, by its own clock, takes the
turn for left, and takes the folder away by a rename, which again only one can do.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lorapod.atomic import replace_file

FOLDER = "building"
_NEWS = "news.json"


class Turn:
    """One builder's way to its turn."""

    def __init__(
        self, folder: Path, *, stale_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Wait for the turn in `folder`; one that stands still for `stale_s` is over."""
        self._place = folder / FOLDER
        self._stale_s = stale_s
        self._monotonic = monotonic
        self._token = secrets.token_hex(8)
        self._beat = 0
        self._seen: bytes | None = None
        self._seen_at = monotonic()

    def take(self) -> bool:
        """Whether it is ours from now on; asked again until it is.

        Raises:
            OSError: the volume cannot be written.
        """
        try:
            self._place.mkdir(parents=True)
        except FileExistsError:
            self._look()
            return False
        self.tell({})
        return True

    def tell(self, news: Mapping[str, Any]) -> None:
        """Show that we live, and how far we are."""
        self._beat += 1
        with contextlib.suppress(OSError):
            replace_file(
                self._place / _NEWS,
                json.dumps({"token": self._token, "beat": self._beat, "news": dict(news)}).encode(),
            )

    @property
    def ours(self) -> bool:
        """Whether nobody has taken us for dead."""
        return self._read().get("token") == self._token

    def news(self) -> Mapping[str, Any]:
        """How far the one is whose turn it is."""
        news = self._read().get("news")
        return news if isinstance(news, dict) else {}

    def leave(self) -> None:
        """Let the next one have it; does nothing where it is not ours."""
        if self.ours:
            shutil.rmtree(self._place, ignore_errors=True)

    def _look(self) -> None:
        """Take the folder away where its holder has stood still for too long."""
        now = self._content()
        if now != self._seen:
            self._seen, self._seen_at = now, self._monotonic()
            return
        if self._monotonic() - self._seen_at < self._stale_s:
            return
        left = self._place.with_name(f".{FOLDER}_{secrets.token_hex(6)}")
        with contextlib.suppress(OSError):
            self._place.rename(left)
            shutil.rmtree(left, ignore_errors=True)
        self._seen = None

    def _content(self) -> bytes:
        try:
            return (self._place / _NEWS).read_bytes()
        except OSError:
            return b""

    def _read(self) -> dict[str, Any]:
        try:
            stored = json.loads(self._content())
        except ValueError:
            return {}
        return stored if isinstance(stored, dict) else {}
