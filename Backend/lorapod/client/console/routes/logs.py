"""The log of a process, page by page: from the volume by a GET, from a worker by a POST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of, process_id_of
from lorapod.client.errors import InvalidInputError, NotFoundError
from lorapod.client.report_page.masking import masked_text

#: Of one page. Pages overlap by what the browser asks for, so that no line is cut.
PAGE_BYTES: Final = 128_000


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of the log."""

    async def read(request: web.Request) -> web.Response:
        if parts.volume is None:
            raise NotFoundError(
                "Only a worker can read this log.", job_id="", code="not_found", hint="Ask the worker for it."
            )
        fields = _wanted(request, request.query.get("offset", "0"))
        return web.json_response(_page(await parts.volume.answer("logs", **fields), fields))

    async def ask(request: web.Request) -> web.Response:
        fields = _wanted(request, (await body_of(request)).get("offset"))
        return web.json_response(_page(await parts.calls.call("logs", **fields), fields))

    return [
        web.get("/api/trainings/{process_id}/log", read, allow_head=False),
        web.post("/api/trainings/{process_id}/log", ask),
    ]


def _wanted(request: web.Request, offset: Any) -> dict[str, Any]:
    """Return which page is wanted; a negative offset counts from the end.

    Raises:
        InvalidInputError: the offset is no whole number.
    """
    try:
        begin = int(offset)
    except (OverflowError, TypeError, ValueError):
        raise InvalidInputError(
            "The offset of a log is a whole number of bytes.", job_id="", code="invalid_input"
        ) from None
    return {"process_id": process_id_of(request), "offset": begin, "limit": PAGE_BYTES}


def _page(answer: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page as the browser gets it: `last` if the log had no more when it was read."""
    offset, next_offset, text = answer["offset"], answer["next_offset"], answer["text"]
    last = wanted["offset"] < 0 or next_offset - offset < PAGE_BYTES
    # A secret that a page's edge cuts would not look like one: lines that are not whole are left to the page beside it.
    if offset > 0:
        text = text[text.find("\n") + 1 :]
    if not last and "\n" in text:
        text = text[: text.rfind("\n")]
    return {"text": masked_text(text), "offset": offset, "next_offset": next_offset, "last": last}
