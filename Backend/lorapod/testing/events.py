"""Events for tests, and a sink that remembers what came."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lorapod.events.event_data import EventData
from lorapod.events.event_types import EventStatus, EventType
from lorapod.events.models import DATA, Event
from lorapod.events.port import Callback, Parcel, SinkUnavailable
from lorapod.wire.model import Moment

PROCESS_ID = "train_0123456789ab"

_FIELDS: Mapping[EventType, Mapping[str, Any]] = {
    EventType.STARTED: {
        "name": "cat",
        "trainer": "script",
        "config_path": "config.yaml",
        "output_path": "output",
    },
    EventType.SAMPLE: {"path": "output/cat.png", "sample_step": 1, "index": 0},
    EventType.CHECKPOINT: {
        "path": "output/cat.safetensors",
        "checkpoint_step": 1,
        "size_bytes": 10,
        "final": True,
    },
    EventType.COMPLETED: {"artifacts": ["output/cat.safetensors"]},
    EventType.FAILED: {"error": "It broke.", "code": "internal", "resumable": False},
    EventType.CANCELLED: {"resumable": False},
    EventType.INTERRUPTED: {"resumable": False},
    EventType.CAPTION_STARTED: {
        "name": "cats",
        "path": "training_data/cats",
        "captioner": "transformers",
    },
    EventType.CAPTION_FAILED: {"error": "It broke.", "code": "internal"},
    EventType.COMPARE_STARTED: {
        "name": "cat",
        "engine": "diffusers",
        "output_path": "output/compare_0123456789ab",
    },
    EventType.COMPARE_FAILED: {"error": "It broke.", "code": "internal"},
    EventType.SWEEP_STARTED: {"name": "cat"},
    EventType.SWEEP_COMPLETED: {"name": "cat", "statuses": {"completed": 2}},
    EventType.SWEEP_FAILED: {"name": "cat", "error": "It broke.", "code": "internal"},
    EventType.SWEEP_CANCELLED: {"name": "cat", "statuses": {"cancelled": 2}},
    EventType.SWEEP_INTERRUPTED: {"name": "cat"},
}


def sample_data(event_type: EventType = EventType.PROGRESS) -> EventData:
    """An event of any type."""
    return DATA[event_type].model_validate(
        {
            "status": EventStatus.TRAINING,
            "progress": 50,
            "step": 1,
            "total_steps": 2,
            **_FIELDS.get(event_type, {}),
        }
    )


def sample_event(
    sequence: int = 1,
    event_type: EventType = EventType.PROGRESS,
    *,
    process_id: str = PROCESS_ID,
    job_id: str | None = "12345",
    timestamp: Moment = datetime(2026, 1, 1, tzinfo=UTC),
) -> Event:
    """Return an event whose id contains its process and sequence."""
    return Event(
        event_type=event_type,
        event_id=f"{process_id}-{sequence}",
        job_id=job_id,
        process_id=process_id,
        sequence=sequence,
        timestamp=timestamp,
        data=sample_data(event_type),
    )


class MemorySink:
    """A `lorapod.events.port.EventSink` that keeps its events, and fails while `failure` is set."""

    def __init__(
        self, name: str = "memory", *, durable: bool = True, patience_s: float | None = None
    ) -> None:
        """Begin empty."""
        self.name = name
        self.durable = durable
        self.patience_s = patience_s
        self.events: list[Event] = []
        self.callbacks: list[Callback | None] = []
        #: Why nothing can be delivered now.
        self.failure: str | None = None
        #: How many of each parcel arrive, at most.
        self.at_once: int | None = None
        self.tries = 0

    def wants(self, callback: Callback | None) -> bool:
        """Return True for every process."""
        del callback
        return True

    async def deliver(self, parcel: Parcel) -> int:
        """Keep them.

        Raises:
            SinkUnavailable: `failure` is set.
        """
        self.tries += 1
        if self.failure is not None:
            raise SinkUnavailable(self.failure)
        taken = parcel.events[: self.at_once]
        self.events += taken
        self.callbacks.append(parcel.callback)
        return len(taken)

    async def close(self) -> None:
        """Keep the events."""
