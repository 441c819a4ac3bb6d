"""The client's code in a program without an event loop: whatever waits blocks the thread of the caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final, Generic, TypeVar

from lorapod.client.errors import ClientClosed
from lorapod.client.http import HttpAnswer, HttpSender, PooledSender, Timeouts
from lorapod.client.runtime import finish, with_local_files

T = TypeVar("T")

#: Work ahead of all threads that share a client.
_THREADS: Final = 32


class BlockingRuntime:
    """A `Runtime` that blocks; safe to use from several threads."""

    def __init__(self, timeouts: Timeouts, *, http: HttpSender | None = None) -> None:
        """Connect at the first request; `http` is another way to send requests, for tests."""
        self._http = http or PooledSender(timeouts)
        self._closed = threading.Event()
        self._ahead = ThreadPoolExecutor(_THREADS, "client-ahead")

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        """Return the answer; see `Runtime`."""
        self._must_be_open()
        return self._http.send(method, url, headers=headers, body=body, wait_s=wait_s)

    async def sleep(self, seconds: float) -> None:
        """Wait; see `Runtime`."""
        self._closed.wait(seconds)
        self._must_be_open()

    async def with_files(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; see `Runtime`."""
        return with_local_files(work)

    def ahead(self, work: Callable[[], Coroutine[Any, Any, T]]) -> ThreadAhead[T]:
        """Begin work in another thread; see `Runtime`."""
        self._must_be_open()
        return ThreadAhead(self._ahead.submit(lambda: finish(work())))

    async def close(self) -> None:
        """Close the connections; see `Runtime`."""
        self._closed.set()
        self._ahead.shutdown(wait=False)
        self._http.close()

    def _must_be_open(self) -> None:
        if self._closed.is_set():
            raise ClientClosed


class ThreadAhead(Generic[T]):
    """Work in another thread."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    async def result(self) -> T:
        """Return its result; see `WorkAhead`."""
        return self._future.result()

    async def drop(self) -> None:
        """Wait for its end, because a thread cannot be ended; see `WorkAhead`."""
        self._future.cancel()
        wait([self._future])
