"""The library: models, their cards, new LoRAs of old ones, downloads, and deletions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from lorapod.client.console import library_questions, model_views, views
from lorapod.client.console.open_questions import Question
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of
from lorapod.client.console.streaming import link_to
from lorapod.client.errors import InvalidInputError, NotFoundError
from lorapod.wire.catalog import ModelNotes

#: Subject of the question which models there are, and of a new LoRA.
SUBJECT: Final = "models"
_MAKING: Final = "new LoRA"
_NOTES: Final = frozenset(ModelNotes.model_fields)
_PUBLISHED: Final = frozenset({"huggingface", "samples"})
_OF_A_TOOL: Final = frozenset(
    {"name", "loras", "method", "rank", "density", "seed", "path", "process_id", "energy", "format"}
)


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of the list, of one model, and of the tools."""

    async def library(_request: web.Request) -> web.Response:
        library_questions.look_at_list(parts, SUBJECT)
        return web.json_response(await asyncio.to_thread(_library, parts))

    async def model(request: web.Request) -> web.Response:
        path = request.query.get("path", "")
        return web.json_response(await asyncio.to_thread(_model, parts, path))

    async def ask(_request: web.Request) -> web.Response:
        started = parts.asks.start(SUBJECT, library_questions.list_of_models(parts))
        return web.json_response(started.view(), status=202)

    async def act(request: web.Request) -> web.Response:
        action, body = request.match_info["action"], await body_of(request)
        path = str(body.pop("model", ""))
        started = parts.asks.start(_subject(action, path), _question(parts, action, path, body))
        return web.json_response(started.view(), status=202)

    async def make(request: web.Request) -> web.Response:
        action = request.match_info["action"]
        fields = _only(await body_of(request), _OF_A_TOOL)
        started = parts.asks.start(_MAKING, library_questions.making(parts, action, fields))
        return web.json_response(started.view(), status=202)

    async def download(request: web.Request) -> web.Response:
        path = str((await body_of(request)).get("model"))
        if await asyncio.to_thread(parts.models.get, path) is None:
            raise _unknown()
        return web.json_response({"url": await link_to(parts, path)})

    tools = "|".join(sorted(library_questions.TOOLS))
    return [
        web.get("/api/library", library, allow_head=False),
        web.get("/api/library/model", model, allow_head=False),
        web.post("/api/library/list", ask),
        web.post("/api/library/download", download),
        web.post(f"/api/library/{{action:{tools}}}", make),
        web.post("/api/library/{action:ask|edit|publish|delete}", act),
    ]


def _subject(action: str, path: str) -> str:
    return f"model {action}: {path}"


def _question(parts: ConsoleParts, action: str, path: str, body: Mapping[str, Any]) -> Question:
    match action:
        case "ask":
            return library_questions.card(parts, path)
        case "edit":
            return library_questions.edit(parts, path, _only(body, _NOTES))
        case "publish":
            return library_questions.publishing(parts, path, _only(body, _PUBLISHED))
        case _:
            _only(body, frozenset())
            return library_questions.deletion(parts, path)


def _only(body: Mapping[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    """Return the fields of a request.

    Raises:
        InvalidInputError: there is another one.
    """
    if unknown := sorted(set(body) - allowed):
        raise InvalidInputError(
            f"A model cannot be asked that with {', '.join(unknown)}.", job_id="", code="invalid_input"
        )
    return dict(body)


def _library(parts: ConsoleParts) -> dict[str, Any]:
    return {
        "models": model_views.cards(parts),
        "known_at": parts.models.known_at,
        "making": parts.asks.view(_MAKING),
        **views.asked(parts, SUBJECT),
    }


def _model(parts: ConsoleParts, path: str) -> dict[str, Any]:
    known = parts.models.get(path)
    if known is None:
        raise _unknown()
    return {
        "model": model_views.card(parts, known),
        "card": parts.models.card(path),
        "making": parts.asks.view(_MAKING),
        **{
            action: parts.asks.view(_subject(action, path)) for action in ("ask", "edit", "publish", "delete")
        },
    }


def _unknown() -> NotFoundError:
    return NotFoundError(
        "The console has not heard of this model.", job_id="", code="not_found", hint="Ask the worker again."
    )
