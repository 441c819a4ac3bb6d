"""Make the data of a sweep's events from its record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lorapod.events import task_texts
from lorapod.events.event_data import (
    EventData,
    SweepCompletedData,
    SweepFailedData,
    SweepProgressData,
    SweepStartedData,
    SweepStoppedData,
)
from lorapod.events.event_types import EventStatus, EventType
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.workspace import Workspace

#: The event of each final state.
ENDS: Mapping[ProcessStatus, EventType] = {
    ProcessStatus.COMPLETED: EventType.SWEEP_COMPLETED,
    ProcessStatus.FAILED: EventType.SWEEP_FAILED,
    ProcessStatus.CANCELLED: EventType.SWEEP_CANCELLED,
    ProcessStatus.INTERRUPTED: EventType.SWEEP_INTERRUPTED,
}


def started(record: ProcessRecord, workspace: Workspace) -> SweepStartedData:
    """Return the data of a run that starts."""
    del workspace
    return SweepStartedData(**_common(record, EventStatus.STARTED), run=record.generation, name=record.name)


def progress(record: ProcessRecord) -> SweepProgressData:
    """Return the progress of a sweep."""
    return SweepProgressData(**_common(record, EventStatus.TRAINING))


def end(record: ProcessRecord, workspace: Workspace) -> EventData:
    """Return the data of an end."""
    del workspace
    statuses = Counter(str(one.get("status")) for one in record.outcome.get("processes", ()))
    fields = {
        **_common(record, EventStatus(record.status.value)),
        "name": record.name,
        "statuses": dict(statuses),
    }
    if ENDS[record.status] in {EventType.SWEEP_CANCELLED, EventType.SWEEP_INTERRUPTED}:
        fields["reason"] = record.reason
    return task_texts.end(
        record,
        fields,
        completed=SweepCompletedData,
        failed=SweepFailedData,
        stopped=SweepStoppedData,
    )


def _common(record: ProcessRecord, status: EventStatus) -> dict[str, Any]:
    now = record.progress
    return {
        "status": status,
        "progress": math.floor(now.percent or 0),
        "current_step": now.detail,
        "step": now.step,
        "total_steps": now.total_steps,
    }
