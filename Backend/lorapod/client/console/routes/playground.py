"""The playground: images drawn with LoRAs, and what was drawn before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from lorapod.client.console import generation_questions, library_questions, model_views, views
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of
from lorapod.client.console.routes.library import SUBJECT as MODELS
from lorapod.client.console.streaming import link_to
from lorapod.client.errors import NotFoundError
from lorapod.errors import InvalidInput
from lorapod.wire.generation import GenerateRequest
from lorapod.wire.validation import parse

SUBJECT: Final = "generate"
_FIELDS: Final = frozenset(
    {
        *("prompt", "negative_prompt", "width", "height", "steps", "guidance_scale", "seed", "num_images"),
        *("loras", "model", "engine", "image", "strength"),
    }
)
#: How long a worker is on for a first generation: its start, the model, the images.
_FIRST_S: Final = 120.0


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of the page and of its history."""

    async def playground(_request: web.Request) -> web.Response:
        library_questions.look_at_list(parts, MODELS)
        return web.json_response(await asyncio.to_thread(_form, parts))

    async def history(_request: web.Request) -> web.Response:
        generation_questions.take_up(parts, SUBJECT)
        return web.json_response(await asyncio.to_thread(_history, parts))

    async def generate(request: web.Request) -> web.Response:
        """Generate, or say what is wrong with the request as far as this machine can tell."""
        wanted, problems = _checked(await body_of(request))
        if problems:
            return web.json_response({"problems": problems})
        started = parts.asks.start(SUBJECT, generation_questions.generating(parts, wanted))
        return web.json_response(started.view(), status=202)

    async def stop(_request: web.Request) -> web.Response:
        """Cancel the generation that is under way: its process ends with its job."""
        job_id = (parts.asks.view(SUBJECT) or {}).get("made") if parts.asks.is_open(SUBJECT) else None
        if job_id is not None:
            await parts.calls.cancel_job(job_id)
        return web.json_response({"stopped": job_id is not None})

    async def forget(request: web.Request) -> web.Response:
        await asyncio.to_thread(parts.generations.forget, str((await body_of(request)).get("job_id")))
        return web.json_response({})

    async def download(request: web.Request) -> web.Response:
        path = str((await body_of(request)).get("path"))
        if path not in await asyncio.to_thread(_paths, parts):
            raise NotFoundError("No known generation has such a file.", job_id="", code="not_found")
        return web.json_response({"url": await link_to(parts, path)})

    return [
        web.get("/api/playground", playground, allow_head=False),
        web.get("/api/playground/history", history, allow_head=False),
        web.post("/api/playground/generate", generate),
        web.post("/api/playground/stop", stop),
        web.post("/api/playground/forget", forget),
        web.post("/api/playground/download", download),
    ]


def _checked(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the request of a generation, and what is wrong with it: `field` and `error` each."""
    problems = [
        {"field": name, "error": "is not a field of the playground"} for name in sorted(set(body) - _FIELDS)
    ]
    wanted = {name: value for name, value in body.items() if value not in (None, "", [])}
    try:
        parse(GenerateRequest, {name: value for name, value in wanted.items() if name in _FIELDS})
    except InvalidInput as error:
        problems += [dict(each) for each in error.details]
    if not str(wanted.get("prompt", "")).strip():
        problems.append({"field": "prompt", "error": "is empty: write what to show"})
    return wanted, problems


def _form(parts: ConsoleParts) -> dict[str, Any]:
    return {
        "trainings": model_views.trainings(parts),
        "models": [
            {name: one.get(name) for name in ("path", "name", "title", "kind", "base_model", "trigger_words")}
            for one in model_views.cards(parts)
        ],
        "looking": parts.looks.is_open(MODELS),
    }


def _history(parts: ConsoleParts) -> dict[str, Any]:
    """Return what changes while something is drawn."""
    history = [{**entry, "images": model_views.pictured(parts, entry)} for entry in parts.generations.all()]
    took_s = next((entry["took_s"] for entry in history if entry.get("took_s")), _FIRST_S)
    return {
        "history": history,
        "cost": parts.prices.of_work(took_s),
        **views.asked(parts, SUBJECT),
    }


def _paths(parts: ConsoleParts) -> set[str]:
    return {
        one["path"]
        for entry in parts.generations.all()
        for one in [*(entry.get("images") or ()), *(entry.get("others") or ())]
    }
