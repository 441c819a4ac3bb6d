"""A courier with sinks in memory, and whoever writes its outboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from lorapod.events.courier import Courier
from lorapod.events.event_types import EventType
from lorapod.events.outbox import Outbox
from lorapod.events.outbox_part import OutboxPart
from lorapod.events.port import EventSink
from lorapod.processes.order import SealedCallback
from lorapod.safety.vault import Vault
from lorapod.testing.clock import FakeClock
from lorapod.testing.events import PROCESS_ID, sample_event
from lorapod.workspace import Workspace

SOON_S = 10.0


class CourierBench:
    """One worker's courier, and the processes that it holds."""

    def __init__(self, root: Path, *sinks: EventSink, vault: Vault | None = None) -> None:
        self.workspace = Workspace.create(root)
        self.clock = FakeClock()
        self.courier = Courier(workspace=self.workspace, clock=self.clock, sinks=sinks, vault=vault)
        self.taken_up: list[str] = []
        self.ended = True
        self.callback: SealedCallback | None = None
        self._parts: dict[str, OutboxPart] = {}
        self._told = 0

    def start(self) -> None:
        self.courier.start(tick=lambda: None, take_up=self.take_up)

    def outbox(self, process_id: str = PROCESS_ID) -> Outbox:
        return Outbox(self.workspace, process_id)

    def begin(self, generation: int = 1, process_id: str = PROCESS_ID) -> None:
        outbox = self.outbox(process_id)
        self._parts[process_id] = outbox.begin(generation)
        self.courier.begin(outbox, self._parts[process_id].path.name, self.callback)

    def tell(self, *kinds: EventType, process_id: str = PROCESS_ID) -> None:
        for kind in kinds:
            self._told += 1
            event = sample_event(self._told, kind, process_id=process_id, timestamp=self.clock.now())
            self._parts[process_id].append(event, durable=False)
        self.courier.notify(process_id)

    def take_up(self, process_id: str) -> None:
        self.taken_up.append(process_id)
        if self.ended:
            outbox = self.outbox(process_id)
            self.courier.begin(outbox, outbox.newest(), self.callback)

    def marked(self, process_id: str = PROCESS_ID) -> bool:
        return (self.workspace.processes / ".events" / process_id).exists()


async def eventually(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not reached():  # noqa: ASYNC110 - what is waited for is on a disk or in another thread
            await asyncio.sleep(0.01)
