"""A child that works beside the one that a run follows, without a GPU: looked at now and then, never waited for."""

from __future__ import annotations

import os
import select
import signal
from collections import deque
from contextlib import suppress

from lorapod.processes.child import Child, Exit

#: Lines of its output that are kept.
_LINES = 40
_CHUNK_BYTES = 65_536
#: Chunks of one stream that are read at once: a child that writes without end must not hold its run up.
_CHUNKS = 16


class SideChild:
    """One such child; for the supervisor's thread, `heard` for any."""

    def __init__(self, child: Child) -> None:
        """Look at a child that was just started."""
        self._child = child
        self._exit: Exit | None = None
        self._rests = dict.fromkeys(child.streams, b"")
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._exits = select.poll()
        self._exits.register(child.exit_descriptor, select.POLLIN)
        for stream in child.streams:
            os.set_blocking(stream.fileno(), False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def lines(self) -> list[str]:
        """The end of its output, oldest line first."""
        return [*self._lines, *(rest.decode(errors="replace") for rest in self._rests.values() if rest)]

    def heard(self, beat_s: float) -> None:
        """Pass this worker's heartbeat on to its guard."""
        self._child.guard_line.tell(beat_s)

    def poll(self) -> Exit | None:
        """Read its output; return how it ended, or None while it runs. Returns at once."""
        if self._exit is None:
            exited = bool(self._exits.poll(0))
            self._drain()
            if exited:
                self._reap()
        return self._exit

    def kill(self) -> None:
        """End its group at once; nothing happens if it has ended."""
        if self._exit is None:
            self._child.signal(signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        self._child.end_group()
        self._exit = self._child.reap()

    def _drain(self) -> None:
        for stream in self._child.streams:
            rest = self._rests[stream]
            with suppress(BlockingIOError):
                for _ in range(_CHUNKS):
                    if not (chunk := os.read(stream.fileno(), _CHUNK_BYTES)):
                        break
                    *whole, rest = (rest + chunk).split(b"\n")
                    self._lines.extend(line.decode(errors="replace") for line in whole)
            self._rests[stream] = rest[-_CHUNK_BYTES:]
