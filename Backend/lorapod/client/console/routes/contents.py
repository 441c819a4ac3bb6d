"""Contents by their digest: images and curves, which never change, so that a browser keeps them."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from aiohttp import web

from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.pictures import SIDES

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_HEADERS: Final = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Disposition": "inline",
    # An image that is opened alone runs nothing.
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the one route."""

    async def content(request: web.Request) -> web.StreamResponse:
        digest, side = request.match_info["digest"], request.query.get("side", "")
        if not _DIGEST.fullmatch(digest):
            raise web.HTTPNotFound(text="That is not the digest of a content.\n")
        if side.isdecimal() and int(side) in SIDES:
            found = await asyncio.to_thread(parts.pictures.small, digest, int(side))
        else:
            found = await asyncio.to_thread(parts.cache.content_by_digest, digest)
        if found is None:
            raise web.HTTPNotFound(text="The console no longer has this content.\n")
        return web.FileResponse(found.path, headers={**_HEADERS, "Content-Type": found.content_type})

    return [web.get("/api/contents/{digest}", content, allow_head=False)]
