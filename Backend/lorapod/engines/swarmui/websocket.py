"""One exchange over a websocket of SwarmUI's: what is wanted goes out first, then its messages come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from lorapod.engines.swarmui.answers import read_answer
from lorapod.engines.swarmui.connection import SwarmUnreachable
from lorapod.errors import TooLarge

_ENDS = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}

#: How a websocket is closed whose message is too large for its reader.
_TOO_BIG = 1009


class SocketDropped(SwarmUnreachable):
    """The websocket ended before what was asked for was there."""


class SwarmSocket:
    """The messages of one websocket, each a JSON object without an error."""

    def __init__(self, route: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Nothing is sent yet."""
        self._route = route
        self._socket = socket
        self._first: dict[str, Any] | None = None

    async def begin(self, fields: Mapping[str, Any]) -> None:
        """Say what is wanted, and wait for the first message: it tells whether the session is known.

        Raises:
            SessionUnknown: it is not.
            SocketDropped: there was no message.
            WorkerError: the message tells of an error.
        """
        await self.send(fields)
        self._first = await self._next()
        if self._first is None:
            raise self._dropped()

    async def send(self, fields: Mapping[str, Any]) -> None:
        """Say something.

        Raises:
            SocketDropped: there is no connection any more.
        """
        try:
            await self._socket.send_str(json.dumps(fields))
        except (aiohttp.ClientError, OSError) as error:
            raise self._dropped() from error

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What the server says, until it closes the connection in good order.

        Raises:
            SocketDropped: the connection broke.
            WorkerError: a message tells of an error.
        """
        message, self._first = self._first, None
        while message is not None:
            yield message
            message = await self._next()

    async def _next(self) -> dict[str, Any] | None:
        """The next message; None: the server closed the connection as one does."""
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
