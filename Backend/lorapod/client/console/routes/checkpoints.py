"""Checkpoints of a training: their download, and the deletion of those that are not kept."""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath
from urllib.parse import quote

from aiohttp import web

from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes.answers import body_of, process_id_of, steps_of
from lorapod.client.console.routes.trainings import known_process
from lorapod.client.console.streaming import link_to, stream_file
from lorapod.client.errors import NotFoundError


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of downloads and of what is kept."""

    async def order(request: web.Request) -> web.Response:
        """Answer with a link for one download: only a press of a button asks a worker, no link alone.

        Raises:
            NotFoundError: it is no checkpoint, or the volume does not have it any more.
        """
        known = await known_process(parts, process_id_of(request))
        path = (await body_of(request)).get("path")
        if path not in {one["path"] for one in known.process.get("checkpoints") or ()}:
            raise NotFoundError(
                "This training has no such checkpoint.",
                job_id="",
                code="not_found",
                hint="Ask the worker again.",
            )
        return web.json_response({"url": await link_to(parts, str(path))})

    async def download(request: web.Request) -> web.StreamResponse:
        path = parts.tickets.redeem(request.match_info["ticket"])
        if path is None:
            raise web.HTTPNotFound(text="This download was used already: press the button again.\n")
        name = quote(PurePosixPath(path).name)
        return await stream_file(
            request, parts, path, {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        )

    async def keep(request: web.Request) -> web.Response:
        """Delete the checkpoints beside those of the named steps; with `dry_run` say which they are."""
        process_id, body = process_id_of(request), await body_of(request)
        answer = await parts.calls.call(
            "delete",
            process_id=process_id,
            keep=f"steps:[{','.join(map(str, steps_of(body.get('steps'))))}]",
            dry_run=body.get("dry_run") is not False,
        )
        if body.get("dry_run") is False:
            process = await parts.calls.call("process_status", process_id=process_id)
            await asyncio.to_thread(parts.processes.learn, process, whole=True)
        return web.json_response(answer)

    return [
        web.post("/api/trainings/{process_id}/download", order),
        web.post("/api/trainings/{process_id}/keep", keep),
        web.get("/api/downloads/{ticket}", download, allow_head=False),
    ]
