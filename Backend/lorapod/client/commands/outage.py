"""The text while the endpoint does not answer: that the client asks again, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lorapod.client.errors import Busy, LorapodError

#: Shows a sentence where a person looks.
ShowText = Callable[[str], None]


class OutageNotice:
    """Says once for each outage that the connection is lost; a live view shows it as long as it lasts."""

    def __init__(self, show: ShowText) -> None:
        """`show` prints a line."""
        self._print = show
        self._show: ShowText | None = None
        self._patience_s: float | None = None
        self._told = False

    def retrying(self, error: LorapodError, left_s: float) -> None:
        """Say that a request is sent again; `left_s`: for so long."""
        text = retry_text(error, left_s if self._patience_s is None else self._patience_s)
        if self._show is not None:
            self._show(text)
        elif not self._told:
            self._print(text)
        self._told = True

    def connected(self) -> None:
        """Say that an answer came, if it was missed before."""
        if self._told and self._show is None:
            self._print("connected again")
        self._told = False

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Say that requests are repeated for so long, whatever one of them allows itself."""
        before, self._patience_s = self._patience_s, seconds
        try:
            yield
        finally:
            self._patience_s = before

    @contextmanager
    def shown_by(self, show: ShowText) -> Iterator[None]:
        """Have a live view show it."""
        before, self._show = self._show, show
        try:
            yield
        finally:
            self._show = before


def retry_text(error: LorapodError, patience_s: float) -> str:
    """Return what happened, and how long it is tried again."""
    what = "endpoint busy, retrying" if isinstance(error, Busy) else "connection lost, retrying"
    return f"{what} (gives up after {_shown(patience_s)}): {error.message}"


def _shown(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{max(1.0, seconds):.0f} s"
