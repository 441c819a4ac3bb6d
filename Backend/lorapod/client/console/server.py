"""The console's server: the page, its API, and the one-time link."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from lorapod.client.console.access import OPEN_PATH, ConsoleAccess
from lorapod.client.console.guard import Handler, RequestGuard
from lorapod.client.console.listening import ConsolePort
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes import all_routes
from lorapod.client.console.routes.answers import errors_as_json
from lorapod.client.console.static import StaticFiles

LOOPBACK: Final = "127.0.0.1"
#: Of a request's JSON: an edit may name ten thousand captions.
_MOST_BODY_BYTES: Final = 32_000_000

#: The page that follows the link: the cookie is sent only with a request that the console's own page makes. The key is behind
#: the "#", which a browser sends to no one.
_OPENED: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>lorapod</title>'
    '<meta http-equiv="refresh" content="0; url=/#key={key}"><p><a href="/#key={key}">Open the console</a></p></html>'
)
_USED: Final = (
    "This link was used already, or it is not the console's: each link opens one browser.\n"
    "The terminal that runs `lorapod console` shows the present link: open that one.\n"
)


class ConsoleServer:
    """The console on one port; `async with` starts it and stops it."""

    def __init__(
        self,
        parts: ConsoleParts,
        *,
        access: ConsoleAccess,
        host: str = LOOPBACK,
        port: int = 0,
        secrets: Sequence[str] = (),
    ) -> None:
        """Prepare the console; `start` opens the port, any that is free if it is 0.

        Args:
            parts: what the pages use.
            access: the one-time link and the sessions.
            host: the address to listen on.
            port: the port to listen on.
            secrets: keys that no answer holds, whatever a server says in an error.
        """
        self._parts = parts
        self._access = access
        self._host, self._port = host, port
        self._guard = RequestGuard(access, host)
        self._secrets = [secret.encode() for secret in secrets if secret]
        self._static = StaticFiles()
        self._listening: ConsolePort | None = None
        #: Looks at what things cost.
        self._watches: list[asyncio.Task[None]] = []

    @property
    def base_url(self) -> str:
        """The console's URL, which only a browser with a session may open."""
        shown = LOOPBACK if self._host in {"0.0.0.0", "::"} else self._host  # noqa: S104 -- compared only
        return f"http://[{shown}]:{self._port}" if ":" in shown else f"http://{shown}:{self._port}"

    @property
    def link(self) -> str:
        """The present one-time link."""
        return f"{self.base_url}{self._access.link_path}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or the address is not one of this machine.
        """
        app = web.Application(
            client_max_size=_MOST_BODY_BYTES,
            middlewares=[self._guard.check, self._without_secrets, errors_as_json],
        )
        app.on_response_prepare.append(self._guard.add_headers)
        app.add_routes(
            [
                web.get(f"{OPEN_PATH}{{ticket}}", self._open, allow_head=False),
                *self._static.routes(),
                *all_routes(self._parts),
                web.get("/api/{path:.*}", _no_route),
                web.get("/{path:.*}", self._page, allow_head=False),
            ]
        )
        self._listening = ConsolePort(app)
        try:
            self._port = self._guard.port = await self._listening.open(self._host, self._port)
        except OSError:
            await self.close()
            raise
        self._watches = [
            asyncio.create_task(self._parts.prices.keep(), name="console prices"),
            asyncio.create_task(self._parts.bill.keep(self._parts.cache), name="console bill"),
        ]

    async def close(self) -> None:
        """Stop listening, and give up what is under way."""
        if self._listening is not None:
            await self._listening.close()
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self._parts.close()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def _open(self, request: web.Request) -> web.StreamResponse:
        session = self._access.redeem(request.match_info["ticket"])
        if session is None:
            raise web.HTTPForbidden(text=_USED)
        response = web.Response(text=_OPENED.format(key=session.page_key), content_type="text/html")
        response.set_cookie(self._guard.cookie, session.cookie, httponly=True, samesite="Strict", path="/")
        return response

    @web.middleware
    async def _without_secrets(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            body = response.body
            for secret in self._secrets:
                body = body.replace(secret, b"***")
            if body != response.body:
                response.body = body
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return self._static.page(request)


async def _no_route(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound(text="The console's API has no such route.\n")
