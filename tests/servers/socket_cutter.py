"""A TCP proxy before a server with websockets: cuts them, on both sides or on the client's alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE_BYTES = 64 << 10


class SocketCutter:
    """Passes everything on; its cuts may be called from any thread."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        #: Websockets so far.
        self.opened = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Of each open websocket: the client's side and the server's.
        self._open: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._ghosts: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        """End every websocket on both sides."""
        self._call(self._cut)

    def leave_ghosts(self) -> None:
        """End every websocket on the client's side; the server does not notice."""
        self._call(self._leave_ghosts)

    def end_ghosts(self) -> None:
        """Let the server notice that they are gone."""
        self._call(self._end_ghosts)

    async def serve(self, ready: threading.Event, over: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        server.close()
        self._cut()
        self._end_ghosts()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self.target_port)
            pair = (writer, to_upstream)
            back = asyncio.create_task(_pass(upstream, writer))
            try:
                while piece := await reader.read(PIECE_BYTES):
                    if piece.startswith(b"GET /ws"):
                        # A connection that was used before may become a websocket.
                        self.opened += 1
                        self._open.append(pair)
                    to_upstream.write(piece)
            finally:
                if to_upstream not in self._ghosts:
                    to_upstream.transport.abort()
                    back.cancel()
                writer.transport.abort()
                if pair in self._open:
                    self._open.remove(pair)

    def _call(self, act: object) -> None:
        assert self._loop is not None
        assert callable(act)
        self._loop.call_soon_threadsafe(act)

    def _cut(self) -> None:
        for sides in self._open:
            for side in sides:
                side.transport.abort()
        self._open.clear()

    def _leave_ghosts(self) -> None:
        for client, server in self._open:
            self._ghosts.append(server)
            client.transport.abort()
        self._open.clear()

    def _end_ghosts(self) -> None:
        for ghost in self._ghosts:
            ghost.transport.abort()
        self._ghosts.clear()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(PIECE_BYTES):
            if not writer.is_closing():
                writer.write(piece)
    if not writer.is_closing():
        writer.close()


@contextmanager
def running_cutter(target_port: int) -> Iterator[SocketCutter]:
    """A proxy in a thread of its own."""
    proxy, ready = SocketCutter(target_port), threading.Event()
    over = asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(ready, over)))
    thread.start()
    try:
        assert ready.wait(10)
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
