"""The doctor: what is wrong with the endpoint, and its fixes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from lorapod.client.console.console_doctor import ConsoleDoctor
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of
from lorapod.client.errors import NotFoundError

_SUBJECT: Final = "doctor"


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of the doctor."""

    async def findings(_request: web.Request) -> web.Response:
        found: dict[str, Any] = await asyncio.to_thread(_doctor(parts).view, parts.cache)
        return web.json_response({**found, "ask": parts.asks.view(_SUBJECT)})

    async def look(_request: web.Request) -> web.Response:
        started = parts.asks.start(_SUBJECT, _doctor(parts).looking(parts.cache))
        return web.json_response(started.view(), status=202)

    async def fix(request: web.Request) -> web.Response:
        check = str((await body_of(request)).get("check"))
        started = parts.asks.start(_SUBJECT, _doctor(parts).fixing(parts.cache, check))
        return web.json_response(started.view(), status=202)

    return [
        web.get("/api/doctor", findings, allow_head=False),
        web.post("/api/doctor/look", look),
        web.post("/api/doctor/fix", fix),
    ]


def _doctor(parts: ConsoleParts) -> ConsoleDoctor:
    if parts.doctor is None:
        raise NotFoundError("This console cannot look at its endpoint.", job_id="", code="unsupported")
    return parts.doctor
