"""What the events of several types of processes have in common, made from a record."""

from __future__ import annotations

import math
from typing import Any

from lorapod.errors import ErrorCode
from lorapod.events.event_data import EventData
from lorapod.events.event_types import EventStatus
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus


def common(record: ProcessRecord, status: EventStatus, *, done: str) -> dict[str, Any]:
    """Return the fields of every event; `done` says what was done so far, with `{}` for the numbers."""
    now = record.progress
    known = now.total_images is not None
    return {
        "status": status,
        "progress": math.floor(now.percent or 0),
        "current_step": done.format(f"{now.image}/{now.total_images}") if known else None,
        "step": now.image,
        "total_steps": now.total_images,
    }


def at_work(record: ProcessRecord, phase: Phase, status: EventStatus) -> EventStatus:
    """Return `status` if a task is in the phase of its work; before, it prepares."""
    return status if record.phase is phase else EventStatus.PREPARING


def pace(record: ProcessRecord) -> dict[str, Any]:
    """Return the fields of a progress event beside the common ones."""
    eta_s = record.progress.eta_s
    return {
        "phase": record.phase.value if record.phase else None,
        "eta_minutes": None if eta_s is None else math.ceil(eta_s / 60),
    }


def failure(record: ProcessRecord) -> dict[str, Any]:
    """Return why a process failed."""
    found = record.failure
    return {
        "error": found.message if found else "It failed.",
        "code": found.code if found else ErrorCode.INTERNAL,
        "hint": (found.hint or None) if found else None,
    }


def end(
    record: ProcessRecord,
    fields: dict[str, Any],
    *,
    completed: type[EventData],
    failed: type[EventData],
    stopped: type[EventData],
) -> EventData:
    """Return the data of an end: of its kind, with `fields`."""
    match record.status:
        case ProcessStatus.COMPLETED:
            return completed(**{**fields, "progress": 100})
        case ProcessStatus.FAILED:
            return failed(**fields, **failure(record))
        case _:
            return stopped(**fields)
