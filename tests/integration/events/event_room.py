"""A worker's manager with its event emitter and courier, on a workspace that several may share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.unit.events.courier_bench import eventually

from lorapod.clock import SystemClock
from lorapod.deadline import Deadline
from lorapod.events.courier import Courier
from lorapod.events.emitter import EventEmitter
from lorapod.events.models import Event
from lorapod.events.outbox import Outbox
from lorapod.events.port import EventSink
from lorapod.processes.order import SealedCallback, TrainingOrder
from lorapod.processes.store.file import open_file_store
from lorapod.processes.store.port import StateStore
from lorapod.records.record import ProcessRecord
from lorapod.testing.manager import ended, open_manager
from lorapod.workspace import Workspace

#: Progress is told that often at most.
INTERVAL_S = 1.3


class EventRoom:
    """Everything of a worker that emits the events of its trainings; `silent`: its manager calls no listener."""

    def __init__(
        self,
        root: Path,
        *sinks: EventSink,
        store: StateStore | None = None,
        interval_s: float = INTERVAL_S,
        silent: bool = False,
        **manager: Any,
    ) -> None:
        clock = SystemClock()
        self.workspace = Workspace.create(root)
        self.store = store or open_file_store(self.workspace.processes, clock)
        self.courier = Courier(workspace=self.workspace, clock=clock, sinks=sinks)
        self.emitter = EventEmitter(
            workspace=self.workspace,
            store=self.store,
            courier=self.courier,
            clock=clock,
            interval_s=interval_s,
        )
        if not silent:
            manager |= {
                "on_start": lambda record: self.emitter.started(record),  # noqa: PLW0108 - a test may replace it
                "on_change": lambda record: self.emitter.changed(record),  # noqa: PLW0108 - a test may replace it
            }
        self.manager = open_manager(root, store=self.store, **manager)
        self.emitter.start(self.manager.holds)

    def train(
        self, *, job_id: str | None = "12345", callback: SealedCallback | None = None, **config: Any
    ) -> ProcessRecord:
        order = TrainingOrder(trainer="script", config=config, caller_job_id=job_id, callback=callback)
        return self.manager.submit("train", order).record

    async def ended(self, record: ProcessRecord) -> ProcessRecord:
        """Wait for the end of a process, and until it is told."""
        end = await ended(self.manager, record)
        await eventually(lambda: record.process_id not in self.manager.supervisors)
        return end

    def told(self, record: ProcessRecord) -> Sequence[Event]:
        """What lies in the outbox, delivered or not."""
        return list(Outbox(self.workspace, record.process_id).history())

    def kinds(self, record: ProcessRecord) -> list[str]:
        """What was told, in short, but for progress."""
        return [name for event in self.told(record) if (name := event.event_type.name.lower()) != "progress"]

    def close(self, grace_s: float = 10) -> None:
        self.manager.close(Deadline.after(5))
        self.emitter.close(Deadline.after(grace_s))
