"""What an emitter knows of one run: its newest record, and the events that are not in the outbox yet."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime

from lorapod.events.artifact_tracker import ArtifactTracker
from lorapod.events.event_data import EventData
from lorapod.events.event_types import EventType
from lorapod.events.outbox_part import OutboxPart
from lorapod.records.record import ProcessRecord


@dataclass(frozen=True, kw_only=True)
class EventDraft:
    """An event that is not in the outbox yet."""

    event_type: EventType
    #: See `event_texts.event_id`.
    which: str
    data: EventData
    timestamp: datetime


@dataclass(kw_only=True)
class EmittedRun:
    """The events of one run, as far as this worker emits them."""

    latest: ProcessRecord
    artifacts: ArtifactTracker
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: None: nothing could be written yet.
    part: OutboxPart | None = None
    sequence: int = 0
    drafts: list[EventDraft] = field(default_factory=list)
    last_progress: EventData | None = None
    #: When the next progress may be emitted, on the monotonic clock.
    progress_due_s: float = 0.0
    ended: bool = False
    #: The present failure is in the log already.
    logged: bool = False
