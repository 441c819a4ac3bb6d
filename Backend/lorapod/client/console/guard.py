"""What every request to the console passes: its names, its origin, its session; and the headers of every answer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from lorapod.client.console.access import OPEN_PATH, ConsoleAccess

#: Paths that need no session: the link itself, and the page's own scripts and styles, which hold nothing of a person.
_PUBLIC: Final = re.compile(rf"{OPEN_PATH}[^/]+|/assets/.+")
#: Paths that name a secret themselves, or show nothing of a person: a browser requests them without the page's scripts.
_WITHOUT_KEY: Final = ("/api/contents/", "/api/downloads/")
KEY_HEADER: Final = "X-Console-Key"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- compared with, not listened on
_READS: Final = frozenset({"GET", "HEAD"})
#: The port that a browser leaves out.
_HTTP: Final = 80

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CLOSED: Final = (
    "This console is open only to the browser that used its one-time link.\n"
    "The terminal that runs `lorapod console` shows the present link: open that one.\n"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RequestGuard:
    """Refuses what is not the console's own page in the browser that opened the link."""

    def __init__(self, access: ConsoleAccess, host: str) -> None:
        """Guard the console that listens on `host`."""
        self._access = access
        self._host = host
        #: The port, once it is known.
        self.port = 0

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies of one host are shared by all its ports."""
        return f"lorapod_console_{self.port}"

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or refuse it."""
        self._refuse(request)
        return await handler(request)

    @staticmethod
    async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer has, refusals and files too, before it is sent."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")

    def _refuse(self, request: web.Request) -> None:
        """Refuse other names of this machine (DNS rebinding), other sites' requests, and browsers without a session."""
        if not self._is_own_name(request.host):
            raise web.HTTPForbidden(text=f"Open the console as http://127.0.0.1:{self.port}.\n")
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin != f"http://{request.host}"
        unnamed = origin is None and request.method not in _READS
        path = request.path
        # A link in a chat or in another page may lead to the console's pages, but no script may read their data.
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        crossing = site not in {"same-origin", "none"} and request.headers.get("Sec-Fetch-Mode") != "navigate"
        if foreign or unnamed or crossing:
            raise web.HTTPForbidden(text="The console answers its own page only.\n")
        if _PUBLIC.fullmatch(path):
            return
        cookie = request.cookies.get(self.cookie)
        by_page = path.startswith("/api/") and not path.startswith(_WITHOUT_KEY)
        known = (
            self._access.is_page(cookie, request.headers.get(KEY_HEADER))
            if by_page
            else self._access.knows(cookie)
        )
        if not known:
            raise web.HTTPUnauthorized(text=_CLOSED)

    def _is_own_name(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        # A browser sends a name and a port, and nothing beside them.
        shown = f"[{name}]" if name is not None and ":" in name else name
        if name is None or host.lower() not in {
            f"{shown}:{self.port}",
            shown if self.port == _HTTP else None,
        }:
            return False
        if name == self._host or (name in _LOOPBACK and self._host in _LOOPBACK | _EVERY_ADDRESS):
            return True
        # To rebind a name, an attacker needs a name: an address is safe if the console listens on all of them.
        return self._host in _EVERY_ADDRESS and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
