"""A file of the workspace on its way through the console to the browser, checked by its digest."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from lorapod.client.console.at_once import at_once
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.errors import LorapodError

log = logging.getLogger(__name__)


async def stream_file(
    request: web.Request, parts: ConsoleParts, path: str, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer with a file of a worker; the next part travels while one is sent.

    A file that did not arrive unchanged ends the connection early, so that the browser reports a failed download.

    Raises:
        LorapodError: the worker has no such file; or it stops answering before the first byte.
    """
    part = await _part(parts, path, 0)
    response = web.StreamResponse(headers={**headers, "Content-Length": str(part["size_bytes"])})
    response.content_type = "application/octet-stream"
    await response.prepare(request)
    try:
        whole = await _send(response, parts, path, part)
    except LorapodError as error:
        log.warning("download broke off", extra={"path": path, "reason": str(error)})
        whole = False
    if not whole and request.transport is not None:
        request.transport.abort()
    return response


async def _send(
    response: web.StreamResponse, parts: ConsoleParts, path: str, part: Mapping[str, Any]
) -> bool:
    """Send a file from its first part on; return whether it arrived unchanged. The last part of one that did not stays here."""
    size, expected, digest, sent = part["size_bytes"], part["sha256"], hashlib.sha256(), 0
    while part["sha256"] == expected and part["offset"] == sent:
        data = base64.b64decode(part["data"])
        end = sent + len(data)
        digest.update(data)
        if end >= size:
            arrived = digest.hexdigest() == str(expected)
            if arrived:
                await response.write(data)
            return arrived
        following, _ = await at_once((_part(parts, path, end), _write(response, data)))
        if not data:
            return False
        part, sent = following, end
    return False


async def _write(response: web.StreamResponse, data: bytes) -> dict[str, Any]:
    await response.write(data)
    return {}


async def _part(parts: ConsoleParts, path: str, offset: int) -> dict[str, Any]:
    return await parts.calls.call("download_file", file_path=path, offset=offset)
