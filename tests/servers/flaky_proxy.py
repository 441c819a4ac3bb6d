"""A TCP proxy on a free loopback port that harms what goes through it."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE_BYTES = 64 << 10


class FlakyProxy:
    """Passes connections on to a port, and breaks them as it is told."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.harmed = 0
        self._resets = 0
        self._reset_after = 0
        self._statuses: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def reset(self, times: int, *, after_bytes: int) -> None:
        """Reset the next so many connections once so many bytes went through one, both ways counted."""
        self._reset_after, self._resets = after_bytes, times

    def answer(self, times: int, status: str) -> None:
        """Answer the first request of the next so many connections with a status and nothing else."""
        self._statuses = [status] * times

    @property
    def due(self) -> int:
        """Harm that is still to be done."""
        return self._resets + len(self._statuses)

    async def serve(self, ready: threading.Event, over: asyncio.Event) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        server.close()
        for _ in range(10):
            await asyncio.sleep(0)  # connections that were accepted a moment ago get their tasks, and begin
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # Cancelled at the end: a stream server of Python 3.11 takes that for an error of its own, and logs it.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self._statuses:
                    await self._refuse(reader, writer, self._statuses.pop())
                else:
                    await self._pass_on(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: str) -> None:
        self.harmed += 1
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        if length and b"expect: 100-continue" not in head:
            await reader.readexactly(int(length[1]))
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        budget: int | None = None
        if self._resets:
            self._resets -= 1
            budget = self._reset_after
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        passed = 0

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            nonlocal passed
            while piece := await source.read(PIECE_BYTES):
                target.write(piece)
                await target.drain()
                passed += len(piece)
                if budget is not None and passed >= budget:
                    self.harmed += 1
                    raise ConnectionResetError

        ways = [
            asyncio.ensure_future(copy(reader, far_writer)),
            asyncio.ensure_future(copy(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            ended = await asyncio.gather(*ways, return_exceptions=True)
            far_writer.close()
            if any(isinstance(one, ConnectionResetError) for one in ended):
                # Closing sends a reset then, not an end.
                near: socket.socket = writer.get_extra_info("socket")
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()


@contextmanager
def flaky_proxy(target_port: int) -> Iterator[FlakyProxy]:
    """A proxy in a thread of its own."""
    proxy = FlakyProxy(target_port)
    ready, over, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    def run() -> None:
        try:
            loop.run_until_complete(proxy.serve(ready, over))
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="flaky-proxy")
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
