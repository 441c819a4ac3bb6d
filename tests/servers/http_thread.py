"""An aiohttp application on a free loopback port, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def serving(build: Callable[[], web.Application], *, port: int = 0) -> Iterator[int]:
    """Serve until the end of the block; yields the port."""
    loop = asyncio.new_event_loop()
    started: list[int] = []
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(build(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        await web.SockSite(runner, listener).start()
        started.append(runner.addresses[0][1])
        ready.set()
        await over.wait()
        server = runner.server
        assert server is not None
        # asyncio loses a connection that it has taken but not made when its server closes: first take no more.
        loop.remove_reader(listener)
        for _ in range(10):
            await asyncio.sleep(0)
        await runner.cleanup()
        # Connections that came at the last moment; a process that ends breaks them off.
        await break_off(server)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await break_off(server)

    async def break_off(server: web.Server) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
            for connection in server.connections:
                connection.force_close()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()
            ready.set()

    thread = threading.Thread(target=run, name="test-server")
    thread.start()
    ready.wait()
    assert started, "the server did not start"
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
