"""A file server on a free loopback port that misbehaves as a test tells it."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What becomes of one request."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Bytes of the body after which the connection is reset.
    reset_after: int | None = None
    #: Bytes of the body after which nothing more comes.
    stall_after: int | None = None
    #: Bytes that are announced beyond those that come.
    lie_bytes: int = 0
    #: A body of unknown length, ended by the end of the connection.
    chunked: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request that came."""

    path: str
    headers: Mapping[str, str]


class FaultServer:
    """Serves `content` at every path, with ranges and an ETag; `faults` are used up first, one a request."""

    def __init__(self, content: bytes, *, etag: str | None = '"one"', ranges: bool = True) -> None:
        self.content = content
        self.etag = etag
        self.ranges = ranges
        self.files: dict[str, bytes] = {}
        #: What the server calls a file, beside its content.
        self.names: dict[str, str] = {}
        self.faults: deque[Fault] = deque()
        self.seen: list[Seen] = []
        #: Set by the first request.
        self.asked = asyncio.Event()
        self.port = 0
        self.sent_bytes = 0

    def url(self, path: str = "/file.bin", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in fields)}
        path = line.split(" ")[1]
        self.seen.append(Seen(path=path, headers=headers))
        self.asked.set()
        fault = self.faults.popleft() if self.faults else Fault()
        content = self.files.get(path.partition("?")[0], self.content)
        status, answers, body = self._plain(headers, content)
        if fault.status is not None:
            status, body = fault.status, b""
        if (name := self.names.get(path)) is not None:
            answers = {**answers, "Content-Disposition": f'attachment; filename="{name}"'}
        answers = {**answers, "Content-Length": str(len(body) + fault.lie_bytes), **fault.headers}
        if fault.chunked:
            del answers["Content-Length"]
            answers["Connection"] = "close"
        if status == 304:
            answers.pop("Content-Length")
        text = "".join(f"{name}: {value}\r\n" for name, value in answers.items())
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{text}\r\n".encode("latin-1"))
        cut = next((at for at in (fault.reset_after, fault.stall_after) if at is not None), len(body))
        writer.write(body[:cut])
        self.sent_bytes += cut
        await writer.drain()
        if fault.stall_after is not None:
            await reader.read()
        if fault.reset_after is not None or fault.lie_bytes:
            await self._reset(writer, gently=bool(fault.lie_bytes))
            return False
        return not fault.chunked

    def _plain(self, headers: Mapping[str, str], content: bytes) -> tuple[int, dict[str, str], bytes]:
        answers = {"ETag": self.etag} if self.etag else {}
        if self.etag and headers.get("if-none-match") == self.etag:
            return 304, answers, b""
        asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        if asked and self.ranges and headers.get("if-range", self.etag) == self.etag:
            first = int(asked[1])
            if first >= len(content):
                return 416, answers, b""
            answers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            return 206, answers, content[first:]
        return 200, answers, content

    @staticmethod
    async def _reset(writer: asyncio.StreamWriter, *, gently: bool) -> None:
        # What is on its way arrives first: a reset drops what the other side has not read.
        raw: socket.socket = writer.get_extra_info("socket")
        if not gently:
            await asyncio.sleep(0.02)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


@asynccontextmanager
async def serving(server: FaultServer) -> AsyncIterator[FaultServer]:
    """Have it answer on a free port of the loopback interface."""
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
