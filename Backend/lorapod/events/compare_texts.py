"""Make the data of a comparison's events from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.events import task_texts
from lorapod.events.event_data import (
    CompareCompletedData,
    CompareFailedData,
    CompareProgressData,
    CompareStartedData,
    CompareStoppedData,
    EventData,
)
from lorapod.events.event_types import EventStatus, EventType
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus
from lorapod.workspace import Workspace

#: The event of each final state.
ENDS: Mapping[ProcessStatus, EventType] = {
    ProcessStatus.COMPLETED: EventType.COMPARE_COMPLETED,
    ProcessStatus.FAILED: EventType.COMPARE_FAILED,
    ProcessStatus.CANCELLED: EventType.COMPARE_CANCELLED,
    ProcessStatus.INTERRUPTED: EventType.COMPARE_INTERRUPTED,
}


def started(record: ProcessRecord, workspace: Workspace) -> CompareStartedData:
    """Return the data of a run that starts."""
    return CompareStartedData(
        **_common(record, EventStatus.STARTED),
        run=record.generation,
        name=record.name,
        engine=record.engine or "",
        output_path=workspace.relative(record.output_folder(workspace)),
    )


def progress(record: ProcessRecord) -> CompareProgressData:
    """Return the progress of a comparison."""
    status = task_texts.at_work(record, Phase.GENERATING, EventStatus.COMPARING)
    return CompareProgressData(**_common(record, status), **task_texts.pace(record))


def end(record: ProcessRecord, workspace: Workspace) -> EventData:
    """Return the data of an end."""
    del workspace
    fields = {
        **_common(record, EventStatus(record.status.value)),
        "cells": len(record.outcome.get("cells", ())),
    }
    if record.status is ProcessStatus.COMPLETED:
        fields["grid_path"] = record.outcome.get("grid_path")
    return task_texts.end(
        record,
        fields,
        completed=CompareCompletedData,
        failed=CompareFailedData,
        stopped=CompareStoppedData,
    )


def _common(record: ProcessRecord, status: EventStatus) -> dict[str, Any]:
    return task_texts.common(record, status, done="Drew {} cells")
