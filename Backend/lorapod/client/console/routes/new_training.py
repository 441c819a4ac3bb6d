"""New trainings: the form, checks of a request, and the start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from lorapod.client.console import training_form, training_questions, training_text
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of
from lorapod.client.errors import InvalidInputError

_PRESETS: Final = "presets"
_DRY_RUN: Final = "dry run"
_START: Final = "start"
#: Trainings that a new one may begin with.
_STARTS: Final = 50


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of the page of a new training."""

    async def form(_request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(_form, parts))

    async def state(_request: web.Request) -> web.Response:
        return web.json_response(_state(parts))

    async def check(request: web.Request) -> web.Response:
        wanted = await _wanted(request)
        return web.json_response({"problems": await asyncio.to_thread(training_form.check, wanted)})

    async def yaml(request: web.Request) -> web.Response:
        """Return a request as text, or the request that a text is."""
        body = await body_of(request)
        if "text" in body:
            return web.json_response(await asyncio.to_thread(training_text.read, str(body["text"])))
        return web.json_response({"text": await asyncio.to_thread(training_text.written, _of_body(body))})

    async def ask_presets(_request: web.Request) -> web.Response:
        started = parts.asks.start(_PRESETS, training_questions.presets_here(parts))
        return web.json_response(started.view(), status=202)

    async def dry_run(request: web.Request) -> web.Response:
        body = await body_of(request)
        question = training_questions.dry_run(parts, await _wanted(request), str(body.get("key", ""))[:100])
        return web.json_response(parts.asks.start(_DRY_RUN, question).view(), status=202)

    async def start(request: web.Request) -> web.Response:
        wanted = await _wanted(request)
        if problems := await asyncio.to_thread(training_form.check, wanted):
            raise InvalidInputError(
                f"{problems[0]['field']}: {problems[0]['error']}.",
                job_id="",
                code="invalid_input",
                details=problems,
            )
        started = parts.asks.start(_START, training_questions.start(parts, wanted))
        return web.json_response(started.view(), status=202)

    return [
        web.get("/api/new-training", form, allow_head=False),
        web.get("/api/new-training/state", state, allow_head=False),
        web.post("/api/new-training/check", check),
        web.post("/api/new-training/yaml", yaml),
        web.post("/api/new-training/presets", ask_presets),
        web.post("/api/new-training/dry-run", dry_run),
        web.post("/api/new-training/start", start),
    ]


async def _wanted(request: web.Request) -> Mapping[str, Any]:
    """Return the training that was sent.

    Raises:
        InvalidInputError: it is not an object.
    """
    return _of_body(await body_of(request))


def _of_body(body: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = body.get("request")
    if not isinstance(wanted, dict):
        raise InvalidInputError("A training is written as names and values.", job_id="", code="invalid_input")
    return wanted


def _state(parts: ConsoleParts) -> dict[str, Any]:
    return {"dry_run": parts.asks.view(_DRY_RUN), "start": parts.asks.view(_START)}


def _form(parts: ConsoleParts) -> dict[str, Any]:
    here = parts.cache.document(training_questions.PRESETS, "here")
    last = _last_of_models(parts)
    presets = [
        {
            **preset,
            "asked": here is not None,
            "reason": None if here is None else here.get(preset["name"], "The worker does not know it."),
            "last": last.get(preset["base_model"]),
        }
        for preset in training_form.presets()
    ]
    trainings = [known.process for known in parts.processes.all() if known.process["type"] == "train"]
    ended = [one for one in trainings if one["status"] in {"completed", "cancelled"}][:_STARTS]
    return {
        "presets": presets,
        "fields": training_form.form_fields(),
        "datasets": [
            {name: one.get(name) for name in ("training_name", "images", "videos", "captions", "pictures")}
            for one in parts.datasets.all()
        ],
        "trainings": [
            {name: one.get(name) for name in ("process_id", "name", "base_model", "steps")} for one in ended
        ],
        "loras": [
            {"path": one["path"], "name": one.get("name") or one["path"], "base_model": one.get("base_model")}
            for one in parts.models.all()
            if one.get("kind") == "lora" and not one.get("process_id")
        ][:_STARTS],
        "per_hour": parts.prices.per_hour,
        "ask": parts.asks.view(_PRESETS),
        **_state(parts),
    }


def _last_of_models(parts: ConsoleParts) -> dict[str, dict[str, Any]]:
    """Return of each base model the newest training that completed: how long it ran, where, and what it cost."""
    found: dict[str, dict[str, Any]] = {}
    for known in parts.processes.all():
        process = known.process
        if process["type"] != "train" or process["status"] != "completed" or not process.get("base_model"):
            continue
        cost = parts.prices.of_training(process)
        found.setdefault(
            process["base_model"],
            {
                "ran_s": process.get("ran_s"),
                "gpu": process.get("gpu"),
                "cost": None if cost is None else cost["text"],
            },
        )
    return found
