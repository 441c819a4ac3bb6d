"""Waiting for what happens next around a child: output, its exit, or a call from another thread."""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self

from lorapod.processes.child import Child
from lorapod.processes.log import Line, LineSplitter


class Waker:
    """An event descriptor that any thread may use until it is closed, and that does nothing afterwards."""

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


_CHUNK_BYTES = 65_536


class Pump:
    """The two streams of a child, read until both are closed."""

    def __init__(self, child: Child, wake_descriptor: int) -> None:
        """Watch `child`, and `wake_descriptor`, an event descriptor that ends a wait early."""
        self._wake = wake_descriptor
        self._selector = selectors.DefaultSelector()
        self._splitters: dict[IO[bytes], LineSplitter] = {stream: LineSplitter() for stream in child.streams}
        for stream in self._splitters:
            self._selector.register(stream, selectors.EVENT_READ)
        self._selector.register(wake_descriptor, selectors.EVENT_READ)
        self._selector.register(child.exit_descriptor, selectors.EVENT_READ)
        self._exit_descriptor = child.exit_descriptor
        #: Whether the child has exited.
        self.exited = False
        #: Whether the last wait was ended by a call of `Waker.wake`.
        self.woken = False

    def __enter__(self) -> Self:
        """Return the pump."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the selector; the streams stay open."""
        self._selector.close()

    @property
    def open(self) -> bool:
        """Return whether a stream may bring more."""
        return bool(self._splitters)

    def lines(self, timeout_s: float) -> Iterator[Line]:
        """Yield the lines that come within `timeout_s`; end early when the child exits or a thread calls."""
        self.woken = False
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            if key.fileobj == self._wake:
                os.eventfd_read(self._wake)
                self.woken = True
            elif key.fileobj == self._exit_descriptor:
                self.exited = True
                self._selector.unregister(self._exit_descriptor)
            else:
                yield from self._read(key.fileobj)  # type: ignore[arg-type] # only streams are left
        if not ready:
            for splitter in self._splitters.values():
                yield from splitter.pause()

    def _read(self, stream: IO[bytes]) -> Iterator[Line]:
        chunk = os.read(stream.fileno(), _CHUNK_BYTES)
        if chunk:
            yield from self._splitters[stream].feed(chunk)
        else:
            self._selector.unregister(stream)
            yield from self._splitters.pop(stream).finish()
