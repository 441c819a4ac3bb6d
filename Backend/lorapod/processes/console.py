"""What trainers say, on the worker's own output, which the platform shows as its log."""

from __future__ import annotations

import os
import queue
import threading

#: Lines that may wait for whoever reads the output.
WAITING_LINES = 2000
#: How long a worker that ends waits for them.
CLOSE_GRACE_S = 1.0


class Console:
    """Writes lines to a descriptor, in a thread of its own: a reader that stands still holds no training up.

    It writes past Python's own buffers, whose locks an output that stands still would hold for ever.
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
        """Show what still waits, where somebody reads it."""
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
                    self._write(f"{left_out} lines were not shown here: nobody read them in time\n")
            except OSError:
                # Nobody reads any more; the log has everything.
                continue

    def _write(self, text: str) -> None:
        data = memoryview(text.encode(errors="replace"))
        while data:
            data = data[os.write(self._descriptor, data) :]
