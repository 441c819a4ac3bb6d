"""A process as callers see it, from its record and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lorapod.records.estimates import estimate_of
from lorapod.records.forecast import Estimate
from lorapod.records.record import ProcessRecord
from lorapod.volume import artifacts
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.port import VolumeListing
from lorapod.volume.shown_config import ShownConfig
from lorapod.wire.dataset import DatasetView
from lorapod.wire.estimate import EstimateView
from lorapod.wire.limits import TrainingLimits
from lorapod.wire.process import (
    CheckpointView,
    FailureView,
    ProcessSummary,
    ProcessView,
    ProgressView,
    SampleView,
)
from lorapod.wire.start_from import StartedFrom
from lorapod.wire.uploads import UploadsView
from lorapod.workspace import Workspace

#: The most files that one answer names; `list_files` pages through more.
MAX_OUTPUT_FILES = 1000


def summary(record: ProcessRecord) -> ProcessSummary:
    """Return the record alone; its files are not read."""
    return ProcessSummary(**_common(record))


def process_view(
    record: ProcessRecord,
    workspace: Workspace,
    *,
    files: VolumeListing = LOCAL_FILES,
    config: ShownConfig | None = None,
    uploads: UploadsView | None = None,
    log_tail: list[str] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> ProcessView:
    """Return the record with the files that the process wrote; reads its folder through `files`."""
    output = record.output_folder(workspace)
    saved = artifacts.checkpoints(record.run_folder(workspace), record.name, files=files)
    written = [workspace.relative(path) for path in artifacts.output_files(output, files=files)]
    return ProcessView(
        **_common(record),
        **{**_training(record, config or ShownConfig()), **ProcessView.fields_of(record.outcome)},
        dataset=DatasetView.model_validate(record.dataset) if record.dataset else None,
        exit_code=record.exit_code,
        signal=record.signal,
        checkpoints=[
            CheckpointView(
                path=workspace.relative(checkpoint.path),
                step=record.progress.step if checkpoint.final else checkpoint.step,
                size_bytes=checkpoint.size_bytes,
                created_at=checkpoint.created_at,
                final=checkpoint.final,
            )
            for checkpoint in saved
        ],
        samples=[
            SampleView(path=workspace.relative(sample.path), step=sample.step, index=sample.index)
            for sample in artifacts.samples(record.run_folder(workspace), files=files)
        ],
        output_files=written[:MAX_OUTPUT_FILES],
        uploads=uploads,
        outcome=dict(record.outcome) or None,
        config_path=workspace.relative(record.config_path(workspace)) if record.trainer else None,
        output_path=workspace.relative(output),
        log_path=workspace.relative(workspace.log_path(record.process_id)),
        resumable=record.status.unfinished
        and (bool(saved) or (record.task is not None and record.task.restartable)),
        resumed_from_step=record.resumed_from_step,
        log_tail=log_tail,
        metrics=None if metrics is None else dict(metrics),
    )


def shown_estimate(estimate: Estimate | None) -> EstimateView | None:
    """Return an estimate as answers show it."""
    return None if estimate is None else EstimateView.model_validate(asdict(estimate))


def _estimate(record: ProcessRecord) -> EstimateView | None:
    """Return the estimate of a training, or the one that a sweep keeps of its trainings."""
    if record.type == "sweep" and (kept := record.outcome.get("estimate")) is not None:
        return EstimateView.model_validate(kept)
    return shown_estimate(estimate_of(record))


def _training(record: ProcessRecord, config: ShownConfig) -> Mapping[str, Any]:
    """Return what only a training has."""
    if record.training is None:
        return {}
    limits = record.limits
    return {
        "base_model": record.training.base_model,
        "trigger_word": record.training.trigger_word,
        "limits": limits and TrainingLimits(duration_s=limits.duration_s, until=limits.until),
        "ran_s": record.training.ran_s or None,
        "best_step": record.training.best_step,
        "start_from": record.training.start_from and StartedFrom.model_validate(record.training.start_from),
        "gpu": record.training.gpu,
        "warnings": list(record.training.warnings),
        "settings": config.settings,
        "sample_prompts": list(config.sample_prompts),
    }


def _common(record: ProcessRecord) -> Mapping[str, Any]:
    progress = record.progress
    return {
        "process_id": record.process_id,
        "type": record.type,
        "name": record.name,
        "sweep_id": record.process_id if record.type == "sweep" else record.sweep_id,
        "trainer": record.trainer or None,
        "engine": record.engine,
        "status": record.status.value,
        "phase": record.phase.value if record.phase else None,
        "progress": ProgressView(
            step=progress.step,
            total_steps=progress.total_steps,
            percent=progress.percent,
            loss=progress.loss,
            learning_rate=progress.learning_rate,
            steps_per_s=progress.steps_per_s,
            eta_s=progress.eta_s,
            image=progress.image,
            total_images=progress.total_images,
            node=progress.node,
            node_id=progress.node_id,
            node_value=progress.node_value,
            node_max=progress.node_max,
            nodes_done=progress.nodes_done,
            total_nodes=progress.total_nodes,
            detail=progress.detail,
        ),
        "fetch": record.fetch,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "worker_id": record.worker_id,
        "reason": record.reason,
        "reason_detail": record.reason_detail,
        "estimate": _estimate(record),
        "failure": None
        if record.failure is None
        else FailureView(code=record.failure.code, message=record.failure.message, hint=record.failure.hint),
        "job_id": record.caller_job_id,
        "runpod_job_id": record.runpod_job_id,
    }
