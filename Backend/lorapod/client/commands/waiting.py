"""A line that says that a command waits, and how long it has: shown in a terminal if nothing else is, from two seconds on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import Console

#: A wait that is shorter needs no words.
QUIET_S = 2.0

_TICK_S = 0.5
_ERASE = "\r\x1b[2K"


class WaitingLine:
    """The line, on stderr. A thread draws it; whatever else is printed pauses it first."""

    def __init__(
        self,
        *,
        enabled: bool,
        quiet_s: float = QUIET_S,
        write: Callable[[str], object] | None = None,
    ) -> None:
        """Without `enabled`, draw nothing. `write` writes to the terminal; None: to stderr."""
        self._enabled = enabled
        self._quiet_s = quiet_s
        self._write = write or sys.stderr.write
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._pauses = 0
        self._since = time.monotonic()
        self._drawn = False

    def __enter__(self) -> Self:
        """Begin to watch how long nothing is printed."""
        self._since = time.monotonic()
        if self._enabled:
            self._thread = threading.Thread(target=self._watch, name="waiting-line", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Erase the line."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._erase()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Erase the line, and draw none meanwhile."""
        with self._lock:
            self._erase()
            self._pauses += 1
        try:
            yield
        finally:
            with self._lock:
                self._pauses -= 1
                self._since = time.monotonic()

    def draw(self) -> None:
        """Draw the line if it is time."""
        with self._lock:
            waited_s = time.monotonic() - self._since
            if self._pauses or waited_s < self._quiet_s:
                return
            self._write(f"{_ERASE}waiting for an answer, {waited_s:.0f} s")
            sys.stderr.flush()
            self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._write(_ERASE)
            sys.stderr.flush()
            self._drawn = False

    def _watch(self) -> None:
        while not self._ended.wait(_TICK_S):
            self.draw()


class PausingConsole(Console):
    """A console that pauses the line before it prints."""

    def __init__(self, waiting: WaitingLine, **options: Any) -> None:
        """Take the options of a console."""
        self._waiting = waiting
        super().__init__(**options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; see `Console.print`."""
        with self._waiting.paused():
            super().print(*objects, **options)

    def out(self, *objects: Any, **options: Any) -> None:
        """Print as it is; see `Console.out`."""
        with self._waiting.paused():
            super().out(*objects, **options)
