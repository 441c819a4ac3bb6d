"""The file server that misbehaves, in a thread of its own, for tests without an event loop."""

from __future__ import annotations

import asyncio
import threading

from tests.servers.fault_server import FaultServer, serving


class FaultThread:
    """A `FaultServer` for the time of a `with` block."""

    def __init__(self) -> None:
        self.server = FaultServer(b"")
        self._over: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        async with serving(self.server):
            self._ready.set()
            await self._over.wait()

    def __enter__(self) -> FaultServer:
        self._thread.start()
        self._ready.wait()
        return self.server

    def __exit__(self, *_error: object) -> None:
        assert self._over is not None
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()
