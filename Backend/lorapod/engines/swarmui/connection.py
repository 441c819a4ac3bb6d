"""The connection to a SwarmUI server: its routes over HTTP and its websockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp

from lorapod import __version__
from lorapod.engines.swarmui.answers import read_answer
from lorapod.errors import TooLarge, Unsupported, UpstreamError, WorkerTimeout
from lorapod.safety.urls import shown_url

#: Most that one answer or message may hold: a list of thousands of models, an image inside a message.
ANSWER_MAX_BYTES = 256 << 20

CONNECT_S = 5.0

#: How long a websocket may take to be opened.
HANDSHAKE_S = 20.0

#: Longest pause within a file.
_IDLE_S = 30.0

#: How long the server's farewell is waited for: after a generation it takes two seconds, for another request.
_CLOSE_S = 0.02

#: How a proxy says that the server behind it is away.
_GATEWAY = frozenset({502, 503, 504})

#: Between two pings of a websocket; a server that does not answer one for half as long counts as gone.
HEARTBEAT_S = 20.0


_ENDS = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}
#: How a websocket is closed whose message is too large for its reader.
_TOO_BIG = 1009


class SwarmUnreachable(UpstreamError):
    """No SwarmUI answers at its URL, or the connection broke."""


class NoSocket(SwarmUnreachable):
    """The server, or something before it, opens no websocket."""


class SwarmConnection:
    """One SwarmUI as one event loop reaches it."""

    def __init__(self, address: str, http: aiohttp.ClientSession) -> None:
        """Use the server at `address` through `http`; see `connected`."""
        self._address = address
        self._http = http

    async def post(self, route: str, fields: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """Ask a route over HTTP.

        The body has a length and is never empty: SwarmUI refuses both chunks and nothing.

        Raises:
            SessionUnknown: a new session is needed.
            SwarmUnreachable: there was no answer.
            WorkerTimeout: there was no answer in time.
            WorkerError: the answer contains an error.
        """
        status, body = await self._attempt(route, fields, timeout_s)
        if status in _GATEWAY:
            raise self.unreachable(f"the proxy in front of it answers {status}")
        return read_answer(route, status, body)

    async def _attempt(self, route: str, fields: Mapping[str, Any], timeout_s: float) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        data = json.dumps(fields).encode()
        try:
            async with self._http.post(
                self._url(f"API/{route}"),
                data=data,
                headers={"Content-Type": "application/json"},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status, await _whole(response, route)
        except TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise self.unreachable("it does not answer") from error
            raise WorkerTimeout(f"SwarmUI did not answer {route} within {timeout_s:.0f} s.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self.unreachable(_reason(error)) from error

    @asynccontextmanager
    async def socket(self, route: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open the websocket of a route.

        Raises:
            NoSocket: the server does not open it.
            SwarmUnreachable: there is no server.
        """
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                socket = await self._http.ws_connect(
                    self._url(f"API/{route}"),
                    heartbeat=HEARTBEAT_S,
                    max_msg_size=ANSWER_MAX_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                )
        except TimeoutError as error:
            raise self.unreachable("it does not answer") from error
        except aiohttp.WSServerHandshakeError as error:
            raise NoSocket(f"SwarmUI opens no websocket for {route} (status {error.status}).") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self.unreachable(_reason(error)) from error
        async with socket:
            yield socket

    @asynccontextmanager
    async def view(self, path: str, *, timeout_s: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a file that SwarmUI named, `View/…` or `Output/…`, without its content.

        Raises:
            SwarmUnreachable: there was no answer, or it broke off while it was read.
            WorkerTimeout: it took too long.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S, sock_read=_IDLE_S)
        url = self._url(quote(path.lstrip("/")))
        try:
            async with self._http.get(url, timeout=timeout, allow_redirects=False) as response:
                yield response
        except aiohttp.ServerTimeoutError as error:
            raise self.unreachable(f"nothing more comes of {path!r}") from error
        except TimeoutError as error:
            raise WorkerTimeout(f"SwarmUI did not send {path!r} within {timeout_s:.0f} s.") from error
        except aiohttp.ClientError as error:
            raise self.unreachable(_reason(error)) from error

    def unreachable(self, reason: str) -> SwarmUnreachable:
        """Return the error for a server that cannot be asked."""
        return SwarmUnreachable(
            f"SwarmUI cannot be reached at {shown_url(self._address)}: {reason}.",
            hint="Check that SwarmUI runs, and that SWARMUI_API_URL is its address.",
        )

    def _url(self, path: str) -> str:
        return f"{self._address.rstrip('/')}/{path}"


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[SwarmConnection]:
    """Yield a connection for the present event loop.

    Raises:
        Unsupported: the URL is not http or https.
    """
    if not address.startswith(("http://", "https://")):
        raise Unsupported("SWARMUI_API_URL is not an http or https address.")
    # The system's resolver: it knows the names of containers.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        headers={"User-Agent": f"lorapod/{__version__}"},
    ) as http:
        yield SwarmConnection(address, http)


async def _whole(response: aiohttp.ClientResponse, route: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 20):
        body += chunk
        if len(body) > ANSWER_MAX_BYTES:
            raise TooLarge(f"SwarmUI's answer to {route} is larger than {ANSWER_MAX_BYTES} bytes.")
    return bytes(body)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        return "nothing answers there"
    return "the connection broke"


class SocketDropped(SwarmUnreachable):
    """The websocket ended before what was asked for was there."""


class SwarmSocket:
    """The messages of one websocket, each a JSON object without an error."""

    def __init__(self, route: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Wrap an open websocket; send nothing yet."""
        self._route = route
        self._socket = socket
        self._first: dict[str, Any] | None = None

    async def begin(self, fields: Mapping[str, Any]) -> None:
        """Send the request, and wait for the first message: it shows whether the session is known.

        Raises:
            SessionUnknown: it is not.
            SocketDropped: there was no message.
            WorkerError: the message contains an error.
        """
        await self.send(fields)
        self._first = await self._next()
        if self._first is None:
            raise self._dropped()

    async def send(self, fields: Mapping[str, Any]) -> None:
        """Send a message.

        Raises:
            SocketDropped: the connection has ended.
        """
        try:
            await self._socket.send_str(json.dumps(fields))
        except (aiohttp.ClientError, OSError) as error:
            raise self._dropped() from error

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the server's messages until it closes the connection properly.

        Raises:
            SocketDropped: the connection broke.
            WorkerError: a message contains an error.
        """
        message, self._first = self._first, None
        while message is not None:
            yield message
            message = await self._next()

    async def _next(self) -> dict[str, Any] | None:
        """Return the next message; None after a proper close."""
        received = await self._socket.receive()
        if received.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            return read_answer(self._route, 200, received.data)
        if self._socket.close_code == _TOO_BIG:
            raise TooLarge(f"SwarmUI's message in {self._route} is too large to be read.")
        if received.type in _ENDS and self._socket.close_code == aiohttp.WSCloseCode.OK:
            return None
        raise self._dropped()

    def _dropped(self) -> SocketDropped:
        return SocketDropped(
            f"SwarmUI's websocket for {self._route} broke.", hint="SwarmUI's own log may say more."
        )
