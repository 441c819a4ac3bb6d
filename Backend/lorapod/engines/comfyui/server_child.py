"""The ComfyUI process that this worker started: its output and its end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from lorapod.errors import WorkerError
from lorapod.processes.child import Child, Exit, start_child
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.pump import Pump

logger = logging.getLogger(__name__)

#: It holds no lease: its guard ends it when the worker has ended, not when a heartbeat is late.
_FENCE_S = 1e9
#: From SIGINT to SIGKILL; a server has nothing to save.
STOP_GRACE_S = 3.0
_KEPT_LINES = 60
_PAUSE_S = 1.0


class ServerChild:
    """One running server."""

    def __init__(self, child: Child) -> None:
        """Read its output from now on."""
        self._child = child
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._over = threading.Event()
        #: How it ended, once it has.
        self.exit: Exit | None = None
        self._listener: Callable[[str], None] | None = None
        self._listening = threading.Lock()
        threading.Thread(target=self._read, name="comfyui-output", daemon=True).start()

    @classmethod
    def start(cls, spec: LaunchSpec, environment: Mapping[str, str]) -> Self:
        """Start it, with a guard that ends it when this worker is gone.

        Raises:
            OSError: its program does not exist, or the machine has no room for another process.
        """
        return cls(start_child(spec, environment, fence_s=_FENCE_S))

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self._over.is_set()

    @property
    def last_words(self) -> str:
        """The last line that it wrote; empty if it wrote none."""
        return next((line for line in reversed(self._lines) if line.strip()), "")

    @property
    def last_lines(self) -> Sequence[str]:
        """The last lines that it wrote, the oldest first."""
        return list(self._lines)

    def listen(self, listener: Callable[[str], None] | None) -> None:
        """Send each line to `listener` from now on; the former listener is not called after this returns."""
        with self._listening:
            self._listener = listener

    def stop(self) -> None:
        """End it, and everything that it started; returns when nothing of it is left."""
        self._child.signal(signal.SIGINT)
        if not self._over.wait(STOP_GRACE_S):
            self._child.signal(signal.SIGKILL)
            self._over.wait()

    def _read(self) -> None:
        with Pump(self._child, self._wake) as pump:
            while not pump.exited:
                for line in pump.lines(_PAUSE_S):
                    self._hear(line.text, repainted=line.repainted)
            # Its last output is still in the pipes; a program that it started may hold them open.
            until_s = time.monotonic() + _PAUSE_S
            while pump.open and time.monotonic() < until_s:
                for line in pump.lines(0.05):
                    self._hear(line.text, repainted=line.repainted)
            self._child.end_group()
            self.exit = self._child.reap()
        os.close(self._wake)
        logger.info("comfyui ended", extra={"exit_code": self.exit.exit_code, "signal": self.exit.signal})
        self._over.set()

    def _hear(self, text: str, *, repainted: bool) -> None:
        if repainted:
            return
        self._lines.append(text)
        # Its output is read whatever becomes of it: a full pipe would stop the server.
        with self._listening, suppress(OSError, WorkerError):
            if self._listener is not None:
                self._listener(text)
