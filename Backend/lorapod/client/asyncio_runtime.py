"""The client's code on an event loop: what waits lets the loop go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from lorapod.client.aiohttp_session import AiohttpSession
from lorapod.client.errors import ClientClosed
from lorapod.client.http import ConnectFailed, ConnectionBroken, HttpAnswer, HttpSender, Timeouts
from lorapod.client.runtime import with_local_files

T = TypeVar("T")


class AsyncioRuntime:
    """A `Runtime` of one event loop."""

    def __init__(self, timeouts: Timeouts, *, http: HttpSender | None = None) -> None:
        """Connect at the first request; `http` is another way to send requests, for tests."""
        self._timeouts = timeouts
        self._http = http
        self._session: AiohttpSession | None = None
        self._closed = asyncio.Event()

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        """Return the answer; see `Runtime`."""
        self._must_be_open()
        if self._http is not None:
            return await asyncio.to_thread(
                self._http.send, method, url, headers=headers, body=body, wait_s=wait_s
            )
        if self._session is None:
            self._session = AiohttpSession(self._timeouts)
        try:
            return await self._session.send(method, url, headers=headers, body=body, wait_s=wait_s)
        except (ConnectFailed, ConnectionBroken):
            self._must_be_open()
            raise

    async def sleep(self, seconds: float) -> None:
        """Wait; see `Runtime`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        self._must_be_open()

    async def with_files(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread; see `Runtime`. A cancelled caller waits for its end: nothing is closed under it."""
        running = asyncio.ensure_future(asyncio.to_thread(with_local_files, work))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def ahead(self, work: Callable[[], Coroutine[Any, Any, T]]) -> TaskAhead[T]:
        """Begin work in a task; see `Runtime`."""
        return TaskAhead(asyncio.create_task(work()))

    async def close(self) -> None:
        """Close the connections; see `Runtime`."""
        self._closed.set()
        if self._http is not None:
            self._http.close()
        if self._session is not None:
            await self._session.close()

    def _must_be_open(self) -> None:
        if self._closed.is_set():
            raise ClientClosed


class TaskAhead(Generic[T]):
    """Work in another task."""

    def __init__(self, task: asyncio.Task[T]) -> None:
        self._task = task

    async def result(self) -> T:
        """Return its result; see `WorkAhead`."""
        return await self._task

    async def drop(self) -> None:
        """Cancel it; see `WorkAhead`."""
        self._task.cancel()
        await asyncio.wait([self._task])
