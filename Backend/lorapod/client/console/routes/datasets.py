"""Datasets, and one dataset: its items, edits, captions, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from lorapod.client.console import dataset_questions, views
from lorapod.client.console.open_questions import Question
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of
from lorapod.client.errors import InvalidInputError, NotFoundError

#: Subject of the question which datasets there are.
SUBJECT: Final = "datasets"
_EDITS: Final = frozenset({"captions", "operations", "delete_names", "rename", "undo", "dry_run"})
_CAPTIONING: Final = frozenset(
    {
        "captioner",
        "model",
        "style",
        "arch",
        "prompt",
        "overwrite",
        "trigger_word",
        "max_new_tokens",
        "limit_names",
    }
)


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of the list and of one dataset."""

    async def datasets(_request: web.Request) -> web.Response:
        dataset_questions.look_at_list(parts, SUBJECT)
        return web.json_response(await asyncio.to_thread(_datasets, parts))

    async def dataset(request: web.Request) -> web.Response:
        name = name_of(request)
        dataset_questions.look_at_dataset(parts, name, subject_of("ask", name))
        return web.json_response(await asyncio.to_thread(_dataset, parts, name))

    async def items(request: web.Request) -> web.Response:
        known = await asyncio.to_thread(parts.datasets.contents, name_of(request))
        found = {"version": 0, "items": []} if known is None else known
        return web.json_response({"version": found["version"], "items": found["items"]})

    async def ask_for_list(_request: web.Request) -> web.Response:
        started = parts.asks.start(SUBJECT, dataset_questions.list_of_datasets(parts))
        return web.json_response(started.view(), status=202)

    async def act(request: web.Request) -> web.Response:
        name, action = name_of(request), request.match_info["action"]
        question = _question(parts, name, action, await body_of(request))
        started = parts.asks.start(subject_of(action, name), question)
        return web.json_response(started.view(), status=202)

    return [
        web.get("/api/datasets", datasets, allow_head=False),
        web.post("/api/datasets/ask", ask_for_list),
        web.get("/api/datasets/{name}", dataset, allow_head=False),
        web.get("/api/datasets/{name}/items", items, allow_head=False),
        web.post("/api/datasets/{name}/{action:ask|edit|preview|caption|delete}", act),
    ]


def name_of(request: web.Request) -> str:
    """Return the dataset that the path names."""
    return request.match_info["name"]


def subject_of(action: str, name: str) -> str:
    """Return the subject of a question about a dataset."""
    return f"dataset {action}: {name}"


def _question(parts: ConsoleParts, name: str, action: str, body: Mapping[str, Any]) -> Question:
    match action:
        case "ask":
            return dataset_questions.dataset(
                parts, name, resolution=_only(body, {"resolution"}).get("resolution")
            )
        case "edit" | "preview":
            fields = {**_only(body, _EDITS), "dry_run": True} if action == "preview" else _only(body, _EDITS)
            return dataset_questions.edit(parts, name, fields)
        case "caption":
            return dataset_questions.captioning(parts, name, _only(body, _CAPTIONING))
        case _:
            _only(body, frozenset())
            return dataset_questions.deletion(parts, name)


def _only(body: Mapping[str, Any], allowed: frozenset[str] | set[str]) -> dict[str, Any]:
    """Return a request's fields.

    Raises:
        InvalidInputError: there is another one.
    """
    if unknown := sorted(set(body) - allowed):
        raise InvalidInputError(
            f"A dataset cannot be asked that with {', '.join(unknown)}.", job_id="", code="invalid_input"
        )
    return {field: value for field, value in body.items() if value is not None}


def _datasets(parts: ConsoleParts) -> dict[str, Any]:
    return {
        "datasets": parts.datasets.all(),
        "uploads": parts.uploads.all(),
        **views.asked(parts, SUBJECT),
    }


def _dataset(parts: ConsoleParts, name: str) -> dict[str, Any]:
    listed, known, staged = (
        parts.datasets.listed(name),
        parts.datasets.contents(name),
        parts.uploads.view(name),
    )
    looking = parts.looks.is_open(subject_of("ask", name))
    asks = {
        action: parts.asks.view(subject_of(action, name))
        for action in ("ask", "edit", "preview", "caption", "delete", "upload")
    }
    # A question that has ended well told what there is: after a deletion, nothing.
    asked = any(one is not None and (not one["ended"] or one["problem"]) for one in asks.values())
    if listed is None and known is None and staged is None and not asked and not looking:
        raise NotFoundError(
            "The console has not heard of this dataset yet.",
            job_id="",
            code="not_found",
            hint="Ask the worker for it.",
        )
    return {
        "name": name,
        "identity": None if listed is None else listed.get("identity"),
        "listed": listed,
        "page": None if known is None else known["page"],
        "version": 0 if known is None else known["version"],
        "whole": known is not None and known["whole"],
        "known_at": None if known is None else known["known_at"],
        "newest_edit": parts.datasets.newest_edit(name),
        "staged": staged,
        "looking": looking,
        **asks,
    }
