"""The client's code on an event loop: what waits lets the loop go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

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


class AiohttpSession:
    """Connections by aiohttp, kept open, through the proxy that `HTTPS_PROXY` and `NO_PROXY` name."""

    def __init__(self, timeouts: Timeouts) -> None:
        import aiohttp  # a program without an event loop does not need it

        self._aiohttp = aiohttp
        self._timeouts = timeouts
        # A wait for a free connection would look like an endpoint that does not answer.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), trust_env=True, auto_decompress=True
        )

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        """Return the answer; see `HttpSender`."""
        aiohttp = self._aiohttp
        timeout = aiohttp.ClientTimeout(
            sock_connect=self._timeouts.connect_s, sock_read=self._timeouts.read_s + wait_s
        )
        try:
            async with self._session.request(
                method, url, headers=headers, data=body, timeout=timeout, allow_redirects=False
            ) as response:
                return HttpAnswer(
                    status=response.status, headers=response.headers, body=await response.read()
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise ConnectFailed(_why(error)) from error
        except aiohttp.ClientHttpProxyError as error:
            raise ConnectFailed(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionBroken(type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _why(error: Exception) -> str:
    """Return the system's reason, for example `Connection refused`."""
    cause = getattr(error, "os_error", error)
    return getattr(cause, "strerror", None) or str(error)
