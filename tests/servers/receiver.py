"""A receiver of callbacks on a loopback port, with answers that a test sets."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web


@dataclass(frozen=True, kw_only=True)
class Posted:
    """A request that arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


class Receiver:
    """Accepts every POST; uses up `answers` first, one per request: a status, or seconds to wait before a 200."""

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.answers: deque[int | float] = deque()
        self.location = ""
        #: The status of answers to HEAD, which is no event.
        self.head = 405
        self.looks: list[Posted] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    async def answer(self, request: web.Request) -> web.Response:
        posted = Posted(path=request.path_qs, headers=dict(request.headers), body=await request.read())
        if request.method == "HEAD":
            self.looks.append(posted)
            return web.Response(status=self.head)
        answer = self.answers.popleft() if self.answers else 200
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = 200
        self.posted.append(posted)
        headers = {"Location": self.location} if self.location else {}
        return web.Response(status=answer, headers=headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Start a receiver for a block."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
