"""Where the child's output goes: the log of the generation that runs, else the worker's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lorapod.clock import Clock
from lorapod.processes.lines import Line
from lorapod.processes.log import REPAINT_INTERVAL_S

logger = logging.getLogger(__name__)


class ChildOutput:
    """Takes lines from one thread, and is pointed elsewhere by another."""

    def __init__(self, clock: Clock) -> None:
        """Begin with the worker's log."""
        self._clock = clock
        self._log: Callable[[str], None] | None = None
        self._repaint_due_s = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def into(self, log: Callable[[str], None]) -> Iterator[None]:
        """Have lines written by `log`, and by nobody once this ends."""
        with self._lock:
            self._log = log
        try:
            yield
        finally:
            with self._lock:
                self._log = None

    def write(self, line: Line) -> None:
        """Pass one line on; of a bar that repaints itself, a picture now and then."""
        if line.repainted:
            if self._clock.monotonic() < self._repaint_due_s:
                return
            self._repaint_due_s = self._clock.monotonic() + REPAINT_INTERVAL_S
        text = line.text.rstrip()
        if not text:
            return
        with self._lock:
            if self._log is not None:
                self._log(text)
            else:
                logger.info("the diffusers process says", extra={"line": text})
