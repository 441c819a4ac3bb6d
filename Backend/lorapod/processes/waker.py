"""A call from any thread to one that waits in a selector."""

from __future__ import annotations

import os
import threading


class Waker:
    """An event descriptor that can be used by any thread until it is closed, and harmlessly after."""

    def __init__(self) -> None:
        """Open the descriptor."""
        self.descriptor = os.eventfd(0)
        self._open = True
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Make the descriptor readable."""
        with self._lock:
            if self._open:
                os.eventfd_write(self.descriptor, 1)

    def close(self) -> None:
        """Close the descriptor; later calls of `wake` do nothing."""
        with self._lock:
            if self._open:
                self._open = False
                os.close(self.descriptor)
