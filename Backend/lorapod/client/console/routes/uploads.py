"""Files that a person drops onto the page: first to this machine, then to a worker."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from lorapod.client.console import dataset_questions
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of
from lorapod.client.console.routes.datasets import name_of, subject_of
from lorapod.client.console.staged_uploads import DroppedFile
from lorapod.client.errors import ConflictError, InvalidInputError
from lorapod.errors import WorkerError
from lorapod.workspace import safe_name


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of one dataset's upload."""

    async def plan(request: web.Request) -> web.Response:
        name, files = _new_name(request), (await body_of(request)).get("files")
        dropped = _dropped(files)
        return web.json_response(await asyncio.to_thread(parts.uploads.plan, name, dropped))

    async def file(request: web.Request) -> web.Response:
        name, path = _new_name(request), request.query.get("path", "")
        _refuse_while_sent(parts, name)
        size_bytes = await parts.uploads.keep(
            name, path, request.content.iter_chunked(1 << 18), size_bytes=request.content_length
        )
        return web.json_response({"size_bytes": size_bytes}, status=201)

    async def send(request: web.Request) -> web.Response:
        name, body = _new_name(request), await body_of(request)
        word = body.get("trigger_word") or None
        question = dataset_questions.upload(parts, name, trigger_word=word, fix=body.get("fix") is True)
        started = parts.asks.start(subject_of("upload", name), question)
        return web.json_response(started.view(), status=202)

    async def discard(request: web.Request) -> web.Response:
        name = name_of(request)
        _refuse_while_sent(parts, name)
        await asyncio.to_thread(parts.uploads.discard, name)
        return web.json_response({})

    return [
        web.post("/api/datasets/{name}/upload/plan", plan),
        web.post("/api/datasets/{name}/upload/file", file),
        web.post("/api/datasets/{name}/upload/send", send),
        web.post("/api/datasets/{name}/upload/discard", discard),
    ]


def _new_name(request: web.Request) -> str:
    """Return the dataset that the path names, if a dataset may be called so.

    Raises:
        InvalidInputError: it may not.
    """
    try:
        return safe_name(name_of(request), field="name")
    except WorkerError as error:
        raise InvalidInputError(error.message, job_id="", code="invalid_input", hint=error.hint) from error


def _refuse_while_sent(parts: ConsoleParts, name: str) -> None:
    if parts.asks.is_open(subject_of("upload", name)):
        raise ConflictError(
            f"{name} is being sent to the worker.", job_id="", code="conflict", hint="Wait for its end."
        )


def _dropped(files: Any) -> list[DroppedFile]:
    """Return what the browser could send.

    Raises:
        InvalidInputError: it is not a list of paths and sizes.
    """
    try:
        return [DroppedFile(path=str(one["path"]), size_bytes=int(one["size_bytes"])) for one in files]
    except (KeyError, OverflowError, TypeError, ValueError):
        raise InvalidInputError("The list of files is not one.", job_id="", code="invalid_input") from None
