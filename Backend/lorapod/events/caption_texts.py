"""Make the data of a captioning's events from its record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lorapod.errors import ErrorCode
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
    eta_s = record.progress.eta_s
    at_work = record.phase is Phase.CAPTIONING
    return CaptionProgressData(
        **_common(record, EventStatus.CAPTIONING if at_work else EventStatus.PREPARING),
        phase=record.phase.value if record.phase else None,
        eta_minutes=None if eta_s is None else math.ceil(eta_s / 60),
    )


def end(record: ProcessRecord, workspace: Workspace) -> EventData:
    """Return the data of an end."""
    del workspace
    common = {**_common(record, EventStatus(record.status.value)), **_counts(record)}
    match record.status:
        case ProcessStatus.COMPLETED:
            return CaptionCompletedData(**{**common, "progress": 100})
        case ProcessStatus.FAILED:
            failure = record.failure
            return CaptionFailedData(
                **common,
                error=failure.message if failure else "It failed.",
                code=failure.code if failure else ErrorCode.INTERNAL,
                hint=(failure.hint or None) if failure else None,
            )
        case _:
            return CaptionStoppedData(**common)


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
    now = record.progress
    known = now.total_images is not None
    return {
        "status": status,
        "progress": math.floor(now.percent or 0),
        "current_step": f"Captioned {now.image}/{now.total_images} images" if known else None,
        "step": now.image,
        "total_steps": now.total_images,
    }
