"""The console's port: a connection that sends no whole request in time is closed, so that none of them fills it up."""

from __future__ import annotations

import asyncio

from aiohttp import web

from lorapod.client.console.guard import Handler

#: How long a connection may take to send its first request.
FIRST_REQUEST_S = 20.0
#: How long it may stay open between two requests.
BETWEEN_REQUESTS_S = 75.0


class ConsolePort:
    """Listens for one application."""

    def __init__(self, app: web.Application) -> None:
        """Prepare to serve `app`, whose requests this must see first."""
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=BETWEEN_REQUESTS_S
        )
        self._listener: asyncio.Server | None = None
        #: Connections that are young and have sent no request.
        self._silent: set[asyncio.BaseProtocol] = set()
        app.middlewares.insert(0, self._note)

    async def open(self, host: str, port: int) -> int:
        """Listen; return the port, which is any that is free if 0 was asked for.

        Raises:
            OSError: the port is taken, or the address is not one of this machine.
        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connection, host, port)
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end the connections."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None, "the runner is set up before the port is opened"
        connection = server()
        self._silent.add(connection)
        asyncio.get_running_loop().call_later(FIRST_REQUEST_S, self._close_if_silent, connection)
        return connection

    def _close_if_silent(self, connection: web.RequestHandler) -> None:
        if connection in self._silent and connection.transport is not None:
            connection.transport.abort()
        self._silent.discard(connection)

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._silent.discard(request.protocol)
        return await handler(request)
