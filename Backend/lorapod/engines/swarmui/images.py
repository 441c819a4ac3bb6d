"""Save an image that SwarmUI names by a path on its server or a data URI."""

from __future__ import annotations

import asyncio
import base64
import binascii
import mimetypes
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import stamina

from lorapod.engines.swarmui.answers import read_answer
from lorapod.engines.swarmui.connection import SwarmConnection, SwarmUnreachable
from lorapod.errors import NotFound, UpstreamError, WorkerError
from lorapod.safety.part_file import DiskBudget, PartFile

_CHUNK_BYTES = 1 << 20
_DATA = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w=.-]+)*;base64,", re.ASCII)
_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}", re.ASCII)

#: Suffixes of media types that Python's table lacks, or has an unusual suffix for.
_SUFFIXES = {"image/jpeg": ".jpg", "image/jpg": ".jpg", "image/webp": ".webp", "video/webm": ".webm"}

#: How often an image is asked for when the connection breaks: it may have taken an hour to make.
_ATTEMPTS = 4


async def save(
    connection: SwarmConnection, address: str, stem: Path, *, room: DiskBudget, timeout_s: float
) -> Path:
    """Save an image as `stem` with the suffix of its kind; whole or not at all.

    Args:
        connection: to the server.
        address: `View/…`, `Output/…`, or a data URI.
        stem: the path without suffix.
        room: how large it may be, and what stays free on the disk.
        timeout_s: how long each attempt to fetch it may take.

    Raises:
        NotFound: SwarmUI has no such file (any more).
        TooLarge, InsufficientStorage: there is no room for it.
        WorkerError: SwarmUI does not give it.
        OSError: the disk failed.
    """
    target = stem.with_name(stem.name + suffix_of(address))
    async for attempt in stamina.retry_context(
        on=SwarmUnreachable, attempts=_ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=5
    ):
        with attempt:
            await _save(connection, address, target, room, timeout_s)
    return target


def suffix_of(address: str) -> str:
    """Return the suffix, with its dot, of the file that an address means."""
    if (match := _DATA.match(address)) is not None:
        kind = match["type"] or ""
        return _SUFFIXES.get(kind) or mimetypes.guess_extension(kind) or ".bin"
    found = Path(address.partition("?")[0]).suffix.lower()
    return found if _SUFFIX.fullmatch(found) else ".bin"


async def _save(
    connection: SwarmConnection, address: str, target: Path, room: DiskBudget, timeout_s: float
) -> None:
    part = PartFile(target, address_digest="", room=room)
    await asyncio.to_thread(part.open)
    try:
        if address.startswith("data:"):
            await _write(part, _decoded(address))
        else:
            async with connection.view(address, timeout_s=timeout_s) as response:
                await _refuse_failure(response, address)
                part.expect(response.content_length)
                await _write(part, response.content.iter_chunked(_CHUNK_BYTES))
        if not part.size_bytes:
            raise UpstreamError("SwarmUI sent an image without content.")
        part.finish()
    except BaseException:
        part.discard()
        raise
    finally:
        part.close()


async def _write(part: PartFile, chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        await asyncio.to_thread(part.write, chunk)


async def _decoded(address: str) -> AsyncIterator[bytes]:
    """Piece by piece: a video as text is large enough once."""
    match = _DATA.match(address)
    if match is None:
        raise UpstreamError("SwarmUI sent an image in a form that is not known.")
    piece = 4 * (_CHUNK_BYTES // 4)
    try:
        for at in range(match.end(), len(address), piece):
            yield base64.b64decode(address[at : at + piece], validate=True)
    except binascii.Error as error:
        raise UpstreamError("SwarmUI sent an image that is not base64.") from error


async def _refuse_failure(response: aiohttp.ClientResponse, address: str) -> None:
    """Raise the error for a file that SwarmUI did not send."""
    if response.status == 200:
        return
    if response.status == 404 or 300 <= response.status < 400:
        # SwarmUI redirects to its own page for a missing file.
        raise NotFound(
            f"SwarmUI has no file {address!r}, though it named it.",
            hint="Something removed it from SwarmUI's output folder; generate it again.",
        )
    said = await _said(response)
    if response.status == 400:
        raise UpstreamError(
            f"SwarmUI does not let the worker read the image {address!r}. {said}",
            hint="Its user must be allowed to see the outputs.",
        )
    raise UpstreamError(
        f"SwarmUI could not read the image {address!r} (status {response.status}). {said}",
        hint="SwarmUI's own log says why.",
    )


async def _said(response: aiohttp.ClientResponse) -> str:
    try:
        read_answer("View", response.status, await response.content.read(_CHUNK_BYTES))
    except WorkerError as error:
        return error.message
    return ""
