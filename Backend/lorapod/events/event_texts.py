"""Make the data of events from a record and its files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from lorapod.errors import WorkerError
from lorapod.events import task_texts
from lorapod.events.event_data import (
    CheckpointData,
    CompletedData,
    EventData,
    FailedData,
    ProgressData,
    SampleData,
    StartedData,
    StoppedData,
)
from lorapod.events.event_types import EventStatus, EventType
from lorapod.records.estimates import estimate_of
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus
from lorapod.volume import artifacts
from lorapod.weights import read_header, step_of
from lorapod.wire.estimate import EstimateView
from lorapod.workspace import Workspace

#: The namespace of event ids; it must never change.
_NAMESPACE = UUID("5e0d7c2a-8f3b-4b52-9a43-3c1f6b0e7d11")

_AT_WORK = frozenset({Phase.TRAINING, Phase.SAMPLING, Phase.SAVING})

#: The event of each final state.
ENDS: Mapping[ProcessStatus, EventType] = {
    ProcessStatus.COMPLETED: EventType.COMPLETED,
    ProcessStatus.FAILED: EventType.FAILED,
    ProcessStatus.CANCELLED: EventType.CANCELLED,
    ProcessStatus.INTERRUPTED: EventType.INTERRUPTED,
}


def event_id(record: ProcessRecord, event_type: EventType, which: str) -> str:
    """Return the id of an event: the same from every worker, however often it is emitted.

    `which` distinguishes the events of one type and process. A process id alone is not unique between workspaces.
    """
    return str(uuid5(_NAMESPACE, f"{record.process_id}/{record.created_at.isoformat()}/{event_type}/{which}"))


def started(record: ProcessRecord, workspace: Workspace) -> StartedData:
    """Return the data of a run that starts."""
    return StartedData(
        **_common(record, EventStatus.STARTED),
        run=record.generation,
        name=record.name,
        trainer=record.trainer,
        base_model=record.training.base_model if record.training is not None else None,
        trigger_word=record.training.trigger_word if record.training is not None else None,
        estimate=_estimate(record),
        config_path=workspace.relative(record.config_path(workspace)),
        output_path=workspace.relative(record.output_folder(workspace)),
    )


def progress(record: ProcessRecord) -> ProgressData:
    """Return the progress of a training."""
    now = record.progress
    status = EventStatus.TRAINING if record.phase in _AT_WORK else EventStatus.PREPARING
    return ProgressData(
        **_common(record, status),
        phase=record.phase.value if record.phase else None,
        loss=_finite(now.loss),
        learning_rate=_finite(now.learning_rate),
        steps_per_s=_finite(now.steps_per_s),
        eta_minutes=None if (eta_s := _finite(now.eta_s)) is None else math.ceil(eta_s / 60),
        estimate=_estimate(record),
        fetch=record.fetch if record.phase is Phase.FETCHING else None,
    )


def sample(record: ProcessRecord, found: artifacts.Sample, path: str) -> SampleData:
    """Return the data of a new sample."""
    return SampleData(
        **_common(record, EventStatus.TRAINING), path=path, sample_step=found.step, index=found.index
    )


def checkpoint(record: ProcessRecord, found: artifacts.Checkpoint, path: str) -> CheckpointData:
    """Return the data of new weights."""
    return CheckpointData(
        **_common(record, EventStatus.TRAINING),
        path=path,
        checkpoint_step=_final_step(record, found.path) if found.step is None else found.step,
        size_bytes=found.size_bytes,
        final=found.final,
    )


def _final_step(record: ProcessRecord, path: Path) -> int:
    """Return the step of final weights: their header's, because the last lines of output may not be read yet."""
    try:
        step = step_of(read_header(path))
    except WorkerError:
        step = None
    return record.progress.step if step is None else step


def artifact_key(record: ProcessRecord, data: CheckpointData | SampleData) -> str:
    """Return what tells an artifact from all others of its process, for `event_id`.

    A training that goes on for more steps writes its final weights again, under the same name.
    """
    final = isinstance(data, CheckpointData) and data.final
    return f"{data.path} {record.steps}" if final and record.steps is not None else data.path


def end(record: ProcessRecord, workspace: Workspace) -> EventData:
    """Return the data of an end; reads the output folder.

    Raises:
        OSError: the folder cannot be read now.
    """
    saved = artifacts.checkpoints(record.run_folder(workspace), record.name)
    match record.status:
        case ProcessStatus.COMPLETED:
            final = [found.path for found in saved if found.final]
            return CompletedData(
                **_common(record, EventStatus.COMPLETED),
                artifacts=[
                    _text(workspace.relative(path))
                    for path in artifacts.output_files(record.output_folder(workspace))
                ],
                model=workspace.relative(final[0]) if final else None,
            )
        case ProcessStatus.FAILED:
            return FailedData(
                **_common(record, EventStatus.FAILED), **task_texts.failure(record), resumable=bool(saved)
            )
        case _:
            return StoppedData(
                **_common(record, EventStatus(record.status.value)),
                reason=record.reason,
                reason_detail=record.reason_detail,
                resumable=bool(saved),
            )


def _common(record: ProcessRecord, status: EventStatus) -> dict[str, Any]:
    now = record.progress
    done = status is EventStatus.COMPLETED
    return {
        "status": status,
        "progress": 100 if done else math.floor(now.percent or 0),
        "current_step": _current_step(record),
        "step": now.step,
        "total_steps": now.total_steps,
    }


def _current_step(record: ProcessRecord) -> str:
    now = record.progress
    if record.phase is Phase.FETCHING and record.fetch is not None:
        total = f"/{record.fetch.total_files}" if record.fetch.total_files else ""
        return f"Fetching {record.fetch.files}{total} files"
    return f"Step {now.step}/{now.total_steps}" if now.total_steps else f"Step {now.step}"


def _estimate(record: ProcessRecord) -> EstimateView | None:
    estimate = estimate_of(record)
    return None if estimate is None else EstimateView.model_validate(asdict(estimate))


def _text(path: str) -> str:
    """Return a path as JSON can hold it, even if its name is not Unicode."""
    return path.encode(errors="replace").decode()


def _finite(number: float | None) -> float | None:
    """Return a number that JSON can hold: a diverged training reports NaN or infinity."""
    return number if number is not None and math.isfinite(number) else None
