"""The answers of the API: JSON, and errors with what to do next."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from aiohttp import web

from lorapod.client.console.guard import Handler
from lorapod.client.errors import (
    ConflictError,
    EndpointError,
    InvalidInputError,
    LorapodError,
    NotFoundError,
)

_PROCESS_ID: Final = re.compile(r"[a-z]{3,16}_[0-9a-f]{12}")


def process_id_of(request: web.Request) -> str:
    """Return the process that the path names.

    Raises:
        NotFoundError: it is not the id of a process.
    """
    process_id = request.match_info["process_id"]
    if not _PROCESS_ID.fullmatch(process_id):
        raise NotFoundError(f"{process_id[:80]} is not the id of a process.", job_id="", code="not_found")
    return process_id


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that was sent.

    Raises:
        InvalidInputError: it is something else.
    """
    try:
        body = await request.json()
        # Half of a character, which JSON can name, is no text, and cannot be sent on.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidInputError("The request is not a JSON object.", job_id="", code="invalid_input")
    return body


def steps_of(sent: Any) -> list[int]:
    """Return the steps of checkpoints that were sent.

    Raises:
        InvalidInputError: they are not a list of whole numbers, or there is none.
    """
    if not isinstance(sent, list) or not sent or not all(type(step) is int for step in sent):
        raise InvalidInputError(
            "Name the steps of the checkpoints: a list of whole numbers.", job_id="", code="invalid_input"
        )
    return sent


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer an error of the client as JSON, with its hint and its problems."""
    try:
        return await handler(request)
    except LorapodError as error:
        return web.json_response(error_fields(error), status=_status(error))


def error_fields(error: LorapodError) -> dict[str, Any]:
    """Return an error as the browser gets it."""
    return {"error": error.message, "hint": error.hint, "code": error.code, "details": error.details}


def _status(error: LorapodError) -> int:
    match error:
        case InvalidInputError():
            return 400
        case NotFoundError():
            return 404
        case ConflictError():
            return 409
        case EndpointError():
            return 502
        case _:
            return 500
