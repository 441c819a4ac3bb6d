"""Make the data of a captioning's events from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.events import task_texts
from lorapod.events.event_data import (
    CaptionCompletedData,
    CaptionFailedData,
    CaptionProgressData,
    CaptionStartedData,
    CaptionStoppedData,
    EventData,
)
from lorapod.events.event_types import EventStatus, EventType
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus
from lorapod.workspace import Workspace

#: The event of each final state.
ENDS: Mapping[ProcessStatus, EventType] = {
    ProcessStatus.COMPLETED: EventType.CAPTION_COMPLETED,
    ProcessStatus.FAILED: EventType.CAPTION_FAILED,
    ProcessStatus.CANCELLED: EventType.CAPTION_CANCELLED,
    ProcessStatus.INTERRUPTED: EventType.CAPTION_INTERRUPTED,
}


def started(record: ProcessRecord, workspace: Workspace) -> CaptionStartedData:
    """Return the data of a run that starts."""
    del workspace
    return CaptionStartedData(
        **_common(record, EventStatus.STARTED),
        run=record.generation,
        name=record.name,
        path=(record.task.dataset if record.task is not None else None) or "",
        captioner=record.engine or "",
    )


def progress(record: ProcessRecord) -> CaptionProgressData:
    """Return the progress of a captioning."""
    status = task_texts.at_work(record, Phase.CAPTIONING, EventStatus.CAPTIONING)
    return CaptionProgressData(**_common(record, status), **task_texts.pace(record))


def end(record: ProcessRecord, workspace: Workspace) -> EventData:
    """Return the data of an end."""
    del workspace
    fields = {**_common(record, EventStatus(record.status.value)), **_counts(record)}
    return task_texts.end(
        record,
        fields,
        completed=CaptionCompletedData,
        failed=CaptionFailedData,
        stopped=CaptionStoppedData,
    )


def _counts(record: ProcessRecord) -> dict[str, Any]:
    outcome = record.outcome
    if not outcome:
        return {}
    return {
        "captioned": outcome.get("captioned"),
        "skipped": outcome.get("skipped"),
        "failed": outcome.get("failed_count", len(outcome.get("failed", ()))),
    }


def _common(record: ProcessRecord, status: EventStatus) -> dict[str, Any]:
    return task_texts.common(record, status, done="Captioned {} images")
