"""A file of the workspace on its way through the console to the browser, checked before its last bytes are sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from aiohttp import web

from lorapod.client.console.endpoint_calls import EndpointCalls
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.sources import VolumeSource
from lorapod.client.errors import LorapodError, TransferFailed
from lorapod.volume.port import FileState

log = logging.getLogger(__name__)

#: Of a file of the volume, so much is in memory at a time, and twice.
PART_BYTES: Final = 4 << 20
#: The ETag of an object that was not uploaded in parts is its MD5.
_MD5: Final = re.compile(r"[0-9a-f]{32}")


async def link_to(parts: ConsoleParts, path: str) -> str:
    """Return the link of one download of a file of the workspace.

    Raises:
        NotFoundError: the volume does not have it any more.
    """
    if parts.volume is not None:
        await parts.volume.state(path)
    return parts.tickets.issue(path)


async def stream_file(
    request: web.Request, parts: ConsoleParts, path: str, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer with a file: of the volume if its files can be read, which costs nothing, else of a worker.

    The next part travels while one is sent. A file that did not arrive unchanged ends the connection early, so that the
    browser reports a failed download.

    Raises:
        LorapodError: there is no such file; or no server answers before the first byte.
    """
    source = _VolumeFile(parts.volume, path) if parts.volume is not None else _WorkerFile(parts.calls, path)
    size_bytes = await source.begin()
    response = web.StreamResponse(headers={**headers, "Content-Length": str(size_bytes)})
    response.content_type = "application/octet-stream"
    await response.prepare(request)
    try:
        async with aclosing(source.pieces()) as pieces:
            async for data in pieces:
                await response.write(data)
    except LorapodError as error:
        log.warning("download broke off", extra={"path": path, "reason": str(error)})
        if request.transport is not None:
            request.transport.abort()
    return response


class _WorkerFile:
    """A file that a worker sends in parts, with the SHA-256 of the whole."""

    def __init__(self, calls: EndpointCalls, path: str) -> None:
        self._calls, self._path = calls, path
        self._first: Mapping[str, Any] = {}

    async def begin(self) -> int:
        """Ask for the first part; return the size of the file in bytes."""
        self._first = await self._part(0)
        return int(self._first["size_bytes"])

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the file; its last piece only if the whole arrived unchanged."""
        part, digest, sent = self._first, hashlib.sha256(), 0
        size_bytes, expected = int(part["size_bytes"]), part["sha256"]
        while part["sha256"] == expected and part["offset"] == sent:
            data = base64.b64decode(part["data"])
            digest.update(data)
            sent += len(data)
            if sent >= size_bytes:
                if digest.hexdigest() != str(expected):
                    break
                yield data
                return
            if not data:
                break
            following = asyncio.create_task(self._part(sent))
            try:
                yield data
                part = await following
            finally:
                following.cancel()
        raise _changed(self._path)

    async def _part(self, offset: int) -> dict[str, Any]:
        return await self._calls.call("download_file", file_path=self._path, offset=offset)


class _VolumeFile:
    """A file of the volume, read in parts, with the MD5 that some servers tell."""

    def __init__(self, volume: VolumeSource, path: str) -> None:
        self._volume, self._path = volume, path
        self._state = FileState(size_bytes=0, modified_ns=0)

    async def begin(self) -> int:
        """Look at the file; return its size in bytes."""
        self._state = await self._volume.state(self._path)
        return self._state.size_bytes

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the file; its last piece only if the whole arrived unchanged."""
        digest, size_bytes = hashlib.md5(usedforsecurity=False), self._state.size_bytes
        data, sent = await self._read(0), 0
        while data and sent + len(data) < size_bytes:
            digest.update(data)
            following = asyncio.create_task(self._read(sent + len(data)))
            try:
                yield data
                sent += len(data)
                data = await following
            finally:
                following.cancel()
        digest.update(data)
        etag = self._state.etag
        damaged = bool(_MD5.fullmatch(etag)) and digest.hexdigest() != etag
        if sent + len(data) != size_bytes or damaged or await self._volume.state(self._path) != self._state:
            raise _changed(self._path)
        yield data

    async def _read(self, offset: int) -> bytes:
        part = await self._volume.part(self._path, offset, PART_BYTES)
        if part.size_bytes != self._state.size_bytes or part.offset != offset:
            raise _changed(self._path)
        return part.data


def _changed(path: str) -> TransferFailed:
    return TransferFailed(
        f"{path} changed while it was downloaded, or did not arrive whole.",
        hint="Its process may still be writing it: wait for its end, then download again.",
    )
