"""A local endpoint in its own thread, while a script calls it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from lorapod.endpoint import EndpointConfig, LocalEndpoint


@contextmanager
def serving(config: EndpointConfig) -> Iterator[LocalEndpoint]:
    """Serve until the block is left; its workers have ended by then.

    Raises:
        OSError: the port is taken, or the worker's command does not exist.
    """
    ready: Future[LocalEndpoint] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with LocalEndpoint(config) as endpoint:
            ready.set_result(endpoint)
            await stop.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    # Not a daemon thread: the interpreter waits for it at its end, so that no worker is left running.
    thread = threading.Thread(target=run, name="endpoint")
    thread.start()
    try:
        yield ready.result()
    finally:
        with suppress(RuntimeError):  # the loop is already closed if the endpoint could not start
            loop.call_soon_threadsafe(stop.set)
        thread.join()
