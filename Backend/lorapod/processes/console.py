"""The lines of trainers on the worker's own output, which the platform shows as the worker's log."""

from __future__ import annotations

import os
import queue
import threading

#: Lines that may wait for the reader of the output.
WAITING_LINES = 2000
#: How long a worker that stops waits for them, in seconds.
CLOSE_GRACE_S = 1.0


class Console:
    """A thread that writes lines to a descriptor: a reader that stands still delays no training.

    It bypasses Python's own buffers: an output that stands still would hold their locks for ever.
    """

    def __init__(self, descriptor: int) -> None:
        """Write to `descriptor`, which stays open."""
        self._descriptor = descriptor
        self._waiting: queue.Queue[str | None] = queue.Queue(WAITING_LINES)
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()

    def line(self, process_id: str, text: str) -> None:
        """Show one line of a process; never waits, never fails. Any thread."""
        try:
            self._waiting.put_nowait(f"{process_id}: {text}\n")
        except queue.Full:
            self._left_out += 1

    def close(self) -> None:
        """Write the lines that still wait, if they are read in time."""
        try:
            self._waiting.put(None, timeout=CLOSE_GRACE_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_GRACE_S)

    def _run(self) -> None:
        while (text := self._waiting.get()) is not None:
            try:
                self._write(text)
                if self._left_out and self._waiting.empty():
                    left_out, self._left_out = self._left_out, 0
                    self._write(f"{left_out} lines were not shown here: they were not read in time\n")
            except OSError:
                # The reader is gone; the process's log has every line.
                continue

    def _write(self, text: str) -> None:
        data = memoryview(text.encode(errors="replace"))
        while data:
            data = data[os.write(self._descriptor, data) :]
