"""Trainings, and one training."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from lorapod.client.console import questions, views
from lorapod.client.console.known_processes import KnownProcess
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of, error_fields, process_id_of
from lorapod.client.console.routes.home import SUBJECT
from lorapod.client.errors import InvalidInputError, LorapodError, NotFoundError

#: What a person may ask of a training, and with which fields.
_STEERING: Final = {"cancel": {"save"}, "resume": {"steps"}, "save_now": set(), "sample_now": set()}
_LISTED: Final = 200


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of the list and of one training."""

    async def trainings(_request: web.Request) -> web.Response:
        questions.look_at_list(parts, SUBJECT)
        return web.json_response(await asyncio.to_thread(_trainings, parts))

    async def training(request: web.Request) -> web.Response:
        try:
            known = await looked_at(parts, process_id_of(request))
        except NotFoundError as error:
            return not_known(parts, request, error)
        await _look_at_job(parts, known)
        again = await known_process(parts, known.process["process_id"])
        return web.json_response(await asyncio.to_thread(views.training_view, parts, again))

    async def ask(request: web.Request) -> web.Response:
        process_id = process_id_of(request)
        started = parts.asks.start(process_id, questions.process(parts, process_id))
        return web.json_response(started.view(), status=202)

    async def steer(request: web.Request) -> web.Response:
        process_id, action, fields = (
            process_id_of(request),
            request.match_info["action"],
            await body_of(request),
        )
        unknown = sorted(set(fields) - _STEERING.get(action, set()))
        if action not in _STEERING or unknown:
            raise InvalidInputError(
                f"{action}: a training cannot be asked that{' with ' + ', '.join(unknown) if unknown else ''}.",
                job_id="",
                code="invalid_input",
            )
        started = parts.asks.start(process_id, questions.steering(parts, process_id, action, fields))
        return web.json_response(started.view(), status=202)

    return [
        web.get("/api/trainings", trainings, allow_head=False),
        web.get("/api/trainings/{process_id}", training, allow_head=False),
        web.post("/api/trainings/{process_id}/ask", ask),
        web.post("/api/trainings/{process_id}/{action}", steer),
    ]


def not_known(parts: ConsoleParts, request: web.Request, error: NotFoundError) -> web.Response:
    """Answer that a process is not known, and whether a worker is being asked for it."""
    return web.json_response(
        {**error_fields(error), **views.asked(parts, request.match_info["process_id"])}, status=404
    )


async def looked_at(parts: ConsoleParts, process_id: str) -> KnownProcess:
    """Return what is known of a process, and have the volume looked at; one that is not known is looked for first.

    Raises:
        NotFoundError: nothing is known of it, and the volume has none.
    """
    known = await asyncio.to_thread(parts.processes.get, process_id)
    questions.look_at_process(parts, process_id)
    if known is None and parts.volume is not None:
        await parts.looks.wait(process_id)
    return await known_process(parts, process_id)


async def known_process(parts: ConsoleParts, process_id: str) -> KnownProcess:
    """Return what is known of a process.

    Raises:
        NotFoundError: nothing is.
    """
    known = await asyncio.to_thread(parts.processes.get, process_id)
    if known is None:
        raise NotFoundError(
            f"The console does not know {process_id} yet.",
            job_id="",
            code="not_found",
            hint="Ask the worker for it.",
        )
    return known


def _trainings(parts: ConsoleParts) -> dict[str, Any]:
    known = [one for one in parts.processes.all() if one.process["type"] in {"train", "sweep"}]
    return {
        "trainings": [views.card(parts, one) for one in known[:_LISTED]],
        "count": len(known),
        **views.asked(parts, SUBJECT),
    }


async def _look_at_job(parts: ConsoleParts, known: KnownProcess) -> None:
    """Take what the open job of a running training shows: that costs nothing."""
    process_id, job_id = known.process["process_id"], known.process.get("runpod_job_id")
    if job_id is None or known.ended:
        return
    try:
        job = await parts.calls.job(job_id)
    except LorapodError:
        return  # It is kept no longer, or the endpoint is away, which every page says: what is known is shown.
    shown = job.output
    if not isinstance(shown, dict) or shown.get("process_id") != process_id or "progress" not in shown:
        return
    steps = (known.process.get("progress") or {}).get("step") or 0
    if (shown["progress"].get("step") or 0) >= steps:
        await asyncio.to_thread(parts.processes.learn, shown, whole=False)
