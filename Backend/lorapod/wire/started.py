"""Answers to a request for a process: that it was started, how it ended, or what would be started."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lorapod.wire.dataset import DatasetView
from lorapod.wire.estimate import EstimateView
from lorapod.wire.model import Moment, ProcessId, RelativePath, Result
from lorapod.wire.process import ProcessView
from lorapod.wire.sweep import SweepTraining


class Started(Result):
    """A training that was accepted."""

    process_id: ProcessId = Field(description="The process; pass it to the other actions.")
    status: str = Field(description="Status just after the start.")
    created_at: Moment = Field(description="When it was accepted.")
    config_path: RelativePath | None = Field(
        default=None, description="The config as the trainer gets it, for a training."
    )
    output_path: RelativePath = Field(description="Folder of its output, relative to the workspace.")
    dataset: DatasetView | None = Field(default=None, description="The datasets that it reads.")
    estimate: EstimateView | None = Field(
        default=None, description="How long a training takes in all, and what it needs."
    )
    warnings: list[str] = Field(default=[], description="What you should know, but need not change.")


class SweepStarted(Started):
    """A sweep that was accepted."""

    sweep_id: ProcessId = Field(
        description="The sweep: a process that `process_status`, `cancel` and `resume` take."
    )
    processes: list[SweepTraining] = Field(description="Its trainings, in the order in which they run.")


class Finished(ProcessView):
    """A process that was waited for: the answer of `process_status`."""

    dataset: DatasetView | None = Field(default=None, description="The datasets that it reads.")


class DryRun(Result):
    """What `train` would do."""

    dry_run: bool = Field(default=True, description="Always true: nothing was started.")
    accepted: bool = Field(description="Whether it would be started.")
    trainer: str = Field(description="The trainer that would run it.")
    config: dict[str, Any] | None = Field(default=None, description="The config as the trainer would get it.")
    dataset: DatasetView | None = Field(default=None, description="The datasets that it reads.")
    estimate: EstimateView | None = Field(
        default=None, description="How long it would take, and what it needs; a sweep's trainings together."
    )
    refused: list[dict[str, Any]] = Field(
        default=[],
        description="Every problem, as the error would list it in `details`; the first of an error with its `message` and "
        "`hint`, if they say more.",
    )
    warnings: list[str] = Field(default=[], description="What you should know, but need not change.")
