"""Make the data of a comparison's events from its record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lorapod.errors import ErrorCode
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
    eta_s = record.progress.eta_s
    at_work = record.phase is Phase.GENERATING
    return CompareProgressData(
        **_common(record, EventStatus.COMPARING if at_work else EventStatus.PREPARING),
        phase=record.phase.value if record.phase else None,
        eta_minutes=None if eta_s is None else math.ceil(eta_s / 60),
    )


def end(record: ProcessRecord, workspace: Workspace) -> EventData:
    """Return the data of an end."""
    del workspace
    common = _common(record, EventStatus(record.status.value))
    cells = len(record.outcome.get("cells", ()))
    match record.status:
        case ProcessStatus.COMPLETED:
            return CompareCompletedData(
                **{**common, "progress": 100}, cells=cells, grid_path=record.outcome.get("grid_path")
            )
        case ProcessStatus.FAILED:
            failure = record.failure
            return CompareFailedData(
                **common,
                cells=cells,
                error=failure.message if failure else "It failed.",
                code=failure.code if failure else ErrorCode.INTERNAL,
                hint=(failure.hint or None) if failure else None,
            )
        case _:
            return CompareStoppedData(**common, cells=cells)


def _common(record: ProcessRecord, status: EventStatus) -> dict[str, Any]:
    now = record.progress
    known = now.total_images is not None
    return {
        "status": status,
        "progress": math.floor(now.percent or 0),
        "current_step": f"Drew {now.image}/{now.total_images} cells" if known else None,
        "step": now.image,
        "total_steps": now.total_images,
    }
