"""Home: the endpoint, and the trainings that run or ran last."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from lorapod.client.console import pictures, questions, views
from lorapod.client.console.endpoint_calls import worker_is_up
from lorapod.client.console.known_processes import KnownProcess
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.errors import LorapodError

#: Subject of the question which processes there are.
SUBJECT: Final = "processes"
#: Trainings that Home shows beside those that run.
_RECENT: Final = 8


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of Home and of the endpoint's state, which every page shows."""

    async def endpoint(_request: web.Request) -> web.Response:
        answer: dict[str, Any] = {
            "url": parts.calls.url,
            "front_door": parts.calls.has_front_door,
            "volume": parts.volume is not None,
            "small_pictures": pictures.can_shrink(),
            "ask_cost": parts.prices.of_a_question,
            "health": None,
            "problem": None,
            "worker_up": False,
        }
        try:
            answer["health"] = await parts.calls.health()
            answer["worker_up"] = worker_is_up(answer["health"])
        except LorapodError as error:
            answer["problem"] = {"error": error.message, "hint": error.hint}
        return web.json_response(answer)

    async def home(_request: web.Request) -> web.Response:
        questions.look_at_list(parts, SUBJECT)
        return web.json_response(await asyncio.to_thread(_home, parts))

    async def ask(_request: web.Request) -> web.Response:
        started = parts.asks.start(SUBJECT, questions.list_of_processes(parts))
        return web.json_response(started.view(), status=202)

    return [
        web.get("/api/endpoint", endpoint, allow_head=False),
        web.get("/api/home", home, allow_head=False),
        web.post("/api/processes/ask", ask),
    ]


def _home(parts: ConsoleParts) -> dict[str, Any]:
    trainings = [known for known in parts.processes.all() if known.process["type"] == "train"]
    running = [known for known in trainings if not known.ended]
    recent = [known for known in trainings if known.ended][:_RECENT]
    return {
        "running": [views.card(parts, known) for known in running],
        "recent": [views.card(parts, known) for known in recent],
        "trainings": len(trainings),
        "spent_usd": _spent(parts, trainings),
        "bill": parts.bill.view(parts.cache),
        **views.asked(parts, SUBJECT),
    }


def _spent(parts: ConsoleParts, trainings: Sequence[KnownProcess]) -> float | None:
    """Return what the known trainings have cost together; None: no price is known."""
    costs = [cost for known in trainings if (cost := parts.prices.of_training(known.process)) is not None]
    return sum(cost.get("so_far_usd", 0.0) for cost in costs) if costs else None
