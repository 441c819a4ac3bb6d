"""The console in a thread of its own, for tests that use it as a browser does."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lorapod.client import Client
from lorapod.client.console import questions
from lorapod.client.console.access import ConsoleAccess
from lorapod.client.console.console_bill import ConsoleBill
from lorapod.client.console.console_doctor import ConsoleDoctor
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.endpoint_calls import EndpointCalls
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.prices import ConsolePrices
from lorapod.client.console.server import LOOPBACK, ConsoleServer
from lorapod.client.console.serving import serving_console
from lorapod.client.console.sources import VolumeSource


def page_key_of(opened: str) -> str:
    """Return what the page that a link opens gives to the browser's own scripts."""
    return str(re.findall(r"#key=([\w-]+)", opened)[0])


@dataclass(frozen=True, kw_only=True)
class RunningConsole:
    """A console that listens."""

    server: ConsoleServer
    parts: ConsoleParts
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return self.server.base_url

    def wait_for_asks(self) -> None:
        """Wait until no question, and no look at the volume, is under way."""

        async def settle() -> None:
            await self.parts.asks.settle()
            await self.parts.looks.settle()

        asyncio.run_coroutine_threadsafe(settle(), self.loop).result(60)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, at most 20 s."""
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)

    def ask_only(self, process_id: str) -> None:
        """Ask the worker for a process, and do not wait for the answer."""

        async def ask() -> None:
            self.parts.asks.start(process_id, questions.process(self.parts, process_id))

        asyncio.run_coroutine_threadsafe(ask(), self.loop).result(60)

    def learn(self, *process_ids: str) -> None:
        """Ask the worker for processes, as a person does by the button."""

        async def ask() -> None:
            for process_id in process_ids:
                self.parts.asks.start(process_id, questions.process(self.parts, process_id))
            await self.parts.asks.settle()

        asyncio.run_coroutine_threadsafe(ask(), self.loop).result(60)


@contextmanager
def running_console(
    client: Client,
    folder: Path,
    *,
    host: str = LOOPBACK,
    volume: VolumeSource | None = None,
    prices: ConsolePrices | None = None,
    bill: ConsoleBill | None = None,
    doctor: ConsoleDoctor | None = None,
    secrets: Sequence[str] = (),
) -> Iterator[RunningConsole]:
    """Serve until the block is left; the client is closed with the console."""
    parts = ConsoleParts.over(
        EndpointCalls(client),
        DiskCache(folder),
        volume=volume,
        prices=prices,
        bill=bill,
        doctor=doctor or ConsoleDoctor.of_this_machine(client),
    )
    server = ConsoleServer(parts, access=ConsoleAccess(), host=host, secrets=secrets)
    with serving_console(server) as loop:
        yield RunningConsole(server=server, parts=parts, loop=loop)
