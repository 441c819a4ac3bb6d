"""A console in its own thread, while a script does something else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from lorapod.client.console.server import ConsoleServer


@contextmanager
def serving_console(server: ConsoleServer) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve until the block is left; yields the loop that serves.

    Raises:
        OSError: the port is taken.
    """
    ready: Future[None] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        try:
            async with server:
                ready.set_result(None)
                await stop.wait()
        except OSError as error:
            ready.set_exception(error)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="console")
    thread.start()
    try:
        ready.result()
        yield loop
    finally:
        with suppress(RuntimeError):  # the loop is already closed if the port was taken
            loop.call_soon_threadsafe(stop.set)
        thread.join()
