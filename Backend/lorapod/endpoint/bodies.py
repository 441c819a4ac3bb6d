"""Read request bodies up to a limit; send answers in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from lorapod.endpoint.rawjson import RawJson, dump

JSON = "application/json"


class BodyTooLarge(Exception):
    """The body is larger than the limit of this request."""

    def __init__(self, limit_bytes: int, head: bytes) -> None:
        """Keep the `head`: the first bytes of the body."""
        self.head = head
        super().__init__(f"the body is larger than {limit_bytes / 1_000_000:g} MB ({limit_bytes} bytes)")


async def read(request: web.Request, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLarge: it is larger than `limit_bytes`; the rest is not read.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        chunks.append(chunk)
        if size > limit_bytes or (request.content_length or 0) > limit_bytes:
            raise BodyTooLarge(limit_bytes, chunks[0])
    return b"".join(chunks)


async def answer(request: web.Request, pieces: Sequence[RawJson], *, status: int = 200) -> web.StreamResponse:
    """Send JSON text in pieces, copying none.

    Raises:
        ConnectionResetError: the other side has closed the connection.
    """
    response = web.StreamResponse(status=status, headers={"Content-Type": JSON})
    response.content_length = sum(len(piece) for piece in pieces)
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


def refusal(status: int, sentence: str) -> web.Response:
    """Return an answer with an error."""
    return web.Response(status=status, body=dump({"error": sentence}), content_type=JSON)


def plain(value: object) -> web.Response:
    """Return `value` as a JSON answer."""
    return web.Response(body=dump(value), content_type=JSON)
