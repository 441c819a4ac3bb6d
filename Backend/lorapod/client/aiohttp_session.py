"""Requests on an event loop, over connections that are kept open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from lorapod.client.http import ConnectFailed, ConnectionBroken, HttpAnswer, Timeouts, pieces, proxy_of


class AiohttpSession:
    """Connections by aiohttp, through the proxy that `HTTPS_PROXY` and `NO_PROXY` name."""

    def __init__(self, timeouts: Timeouts) -> None:
        """Connect at the first request."""
        import aiohttp  # a program without an event loop does not need it

        self._aiohttp = aiohttp
        self._timeouts = timeouts
        # A wait for a free connection would look like an endpoint that does not answer. Not `trust_env`: it would send the
        # passwords of `.netrc` in place of the endpoint's key.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        """Return the answer; see `HttpSender`."""
        aiohttp, times = self._aiohttp, self._timeouts
        timeout = aiohttp.ClientTimeout(sock_connect=times.connect_s, sock_read=times.read_s + wait_s)
        sent = dict(headers) if body is None else {**headers, "Content-Length": str(len(body))}
        proxy = proxy_of(url)
        try:
            # aiohttp has no timeout for a piece of a request.
            async with (
                asyncio.timeout(None) as limit,
                self._session.request(
                    method,
                    url,
                    headers=sent,
                    data=None if body is None else self._in_time(body, limit),
                    timeout=timeout,
                    allow_redirects=False,
                    proxy=proxy if proxy is None or "://" in proxy else f"http://{proxy}",
                ) as response,
            ):
                return HttpAnswer(
                    status=response.status, headers=response.headers, body=await response.read()
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise ConnectFailed(_why(error)) from error
        except aiohttp.ClientHttpProxyError as error:
            raise ConnectFailed(f"the proxy answers {error.status}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionBroken(type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _in_time(self, body: bytes, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
        """Yield the body in pieces, each of which may take its time."""
        for piece in pieces(body):
            limit.reschedule(asyncio.get_running_loop().time() + self._timeouts.write_s)
            yield piece
        limit.reschedule(None)


def _why(error: Exception) -> str:
    """Return the system's reason, for example `Connection refused`."""
    cause = getattr(error, "os_error", error)
    return getattr(cause, "strerror", None) or str(error)
