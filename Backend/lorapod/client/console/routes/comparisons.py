"""Comparisons of checkpoints."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from lorapod.client.console import questions, views
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of, process_id_of, steps_of
from lorapod.client.console.routes.home import SUBJECT
from lorapod.client.console.routes.trainings import looked_at, not_known
from lorapod.client.errors import NotFoundError

#: Checkpoints that are compared unless a person chooses others: more take long.
_STEPS: Final = "last:6"


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of the list and of one comparison."""

    async def comparisons(_request: web.Request) -> web.Response:
        questions.look_at_list(parts, SUBJECT)
        return web.json_response(await asyncio.to_thread(_comparisons, parts))

    async def comparison(request: web.Request) -> web.Response:
        try:
            known = await looked_at(parts, process_id_of(request))
        except NotFoundError as error:
            return not_known(parts, request, error)
        return web.json_response(await asyncio.to_thread(views.comparison_view, parts, known))

    async def compare(request: web.Request) -> web.Response:
        """Compare the checkpoints of a training: those of the named steps, else the newest."""
        process_id, chosen = process_id_of(request), (await body_of(request)).get("steps")
        fields = {"process_ids": [process_id], "steps": _STEPS if chosen is None else steps_of(chosen)}
        started = parts.asks.start(process_id, questions.starting(parts, "compare", fields))
        return web.json_response(started.view(), status=202)

    async def ask(request: web.Request) -> web.Response:
        process_id = process_id_of(request)
        started = parts.asks.start(process_id, questions.process(parts, process_id))
        return web.json_response(started.view(), status=202)

    return [
        web.get("/api/comparisons", comparisons, allow_head=False),
        web.get("/api/comparisons/{process_id}", comparison, allow_head=False),
        web.post("/api/comparisons/{process_id}/ask", ask),
        web.post("/api/trainings/{process_id}/compare", compare),
    ]


def _comparisons(parts: ConsoleParts) -> dict[str, Any]:
    known = [one for one in parts.processes.all() if one.process["type"] == "compare"]
    return {"comparisons": [views.card(parts, one) for one in known], **views.asked(parts, SUBJECT)}
