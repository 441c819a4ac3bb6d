"""The page on a loopback port: its server, which a browser asks for what has changed."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from lorapod.client.report_page.page import ReportPage

ADDRESS: Final = "127.0.0.1"

#: Names that a browser on this machine, or behind a tunnel to it, has for the server. Any other name may be that of a
#: web page which had its own name resolved to this machine.
_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})

#: The name of the curves among the parts of a page; no section has it.
_DATA: Final = " data"

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, kw_only=True)
class PageState:
    """A version of the page, and in which version each part of it changed last."""

    version: int
    page: ReportPage
    #: Each section as HTML, in order.
    html: Mapping[str, str]
    data: Mapping[str, Any]
    #: By section; the data is `_DATA`.
    changed_in: Mapping[str, int]
    ended: bool

    @classmethod
    def following(cls, before: Self | None, page: ReportPage, *, ended: bool) -> Self:
        """Return the state of a new page; it has the version of the state before if nothing has changed."""
        html = {section.name: section.html() for section in page.sections}
        data = page.data
        if before is None:
            everything = dict.fromkeys([*html, _DATA], 1)
            return cls(version=1, page=page, html=html, data=data, changed_in=everything, ended=ended)
        changed = [name for name, text in html.items() if before.html.get(name) != text]
        if data != before.data:
            changed.append(_DATA)
        if not changed and html.keys() == before.html.keys() and ended == before.ended:
            return before
        version = before.version + 1
        kept = {name: before.changed_in[name] for name in (*html, _DATA) if name not in changed}
        changed_in = kept | dict.fromkeys(changed, version)
        return cls(version=version, page=page, html=html, data=data, changed_in=changed_in, ended=ended)

    def changes(self, since: int) -> dict[str, Any]:
        """Return what a browser that has version `since` lacks."""
        new = [name for name in self.html if self.changed_in[name] > since]
        return {
            "version": self.version,
            "ended": self.ended,
            "order": list(self.html),
            "changed": [{"name": name, "html": self.html[name]} for name in new],
            "data": self.data if self.changed_in[_DATA] > since else None,
        }


class LiveServer:
    """Serves the newest version of the page; `publish` and `wait` are for one other thread."""

    def __init__(self) -> None:
        """Serve nothing yet."""
        #: Part of the URL, so that no other user of this machine can guess it.
        self._token = secrets.token_urlsafe(12)
        self._port = 0
        self._state: PageState | None = None
        self._asked_s = time.monotonic()
        self._asked = threading.Event()
        self._end_seen = threading.Event()

    @property
    def url(self) -> str:
        """The page's URL."""
        return f"http://{ADDRESS}:{self._port}/{self._token}/"

    @property
    def published(self) -> bool:
        """Whether there is a version of the page."""
        return self._state is not None

    def publish(self, page: ReportPage, *, ended: bool) -> None:
        """Serve a new version of the page; `ended`: it is the last one."""
        self._state = PageState.following(self._state, page, ended=ended)

    def wait(self, soon_s: float, at_last_s: float) -> None:
        """Wait until the next version is due: `soon_s` if a browser looks at the page, else `at_last_s`."""
        self._asked.clear()
        looked_at = time.monotonic() - self._asked_s <= 2 * soon_s
        time.sleep(soon_s)
        if not looked_at:
            self._asked.wait(max(0.0, at_last_s - soon_s))

    def wait_for_last_look(self, timeout_s: float) -> bool:
        """Wait until a browser has the last version; return whether one has."""
        return self._end_seen.wait(timeout_s)

    @contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """Serve until the block is left.

        Args:
            port: port on the loopback address; 0: any that is free.

        Raises:
            OSError: the port is taken.
        """
        ready: Future[int] = Future()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._serve(port, ready, stop))

        thread = threading.Thread(target=run, name="live-page", daemon=True)
        thread.start()
        try:
            self._port = ready.result()
            yield
        finally:
            with suppress(RuntimeError):  # the loop is already closed if the port was taken
                loop.call_soon_threadsafe(stop.set)
            thread.join()

    async def _serve(self, port: int, ready: Future[int], stop: asyncio.Event) -> None:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get(f"/{self._token}/", self._page)
        app.router.add_get(f"/{self._token}/changes", self._changes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, ADDRESS, port)
            await site.start()
            ready.set_result(runner.addresses[0][1])
            await stop.wait()
        except OSError as error:
            ready.set_exception(error)
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer only requests to a name of this machine."""
        try:
            name = urlsplit(f"//{request.host}").hostname
        except ValueError:
            name = None
        if name not in _HOSTS:
            raise web.HTTPForbidden(text="Open the page as http://127.0.0.1 or http://localhost.\n")
        response = await handler(request)
        response.headers.update(_HEADERS)
        return response

    async def _page(self, _request: web.Request) -> web.Response:
        state = self._looked()
        text = state.page.html(live_version=state.version)
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    async def _changes(self, request: web.Request) -> web.Response:
        state = self._looked()
        since = request.query.get("since", "")
        answer = state.changes(int(since) if since.isdecimal() else 0)
        if state.ended:
            self._end_seen.set()
        return web.json_response(answer)

    def _looked(self) -> PageState:
        self._asked_s = time.monotonic()
        self._asked.set()
        if self._state is None:
            raise web.HTTPServiceUnavailable(text="The page is not ready yet.\n")
        return self._state
