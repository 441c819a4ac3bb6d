"""A process as answers show it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lorapod.wire.dataset import DatasetView, FetchProgress
from lorapod.wire.estimate import EstimateView
from lorapod.wire.limits import TrainingLimits
from lorapod.wire.model import AnsweredCode, Moment, ProcessId, RelativePath, Result, WireModel
from lorapod.wire.results import ProcessResults
from lorapod.wire.start_from import StartedFrom
from lorapod.wire.training_settings import TrainingSettings
from lorapod.wire.uploads import UploadsView


class ProgressView(WireModel):
    """How far a process is."""

    step: int = Field(default=0, description="Steps that are done.")
    total_steps: int | None = Field(default=None, description="Steps in all.")
    percent: float | None = Field(default=None, description="Share of the steps that are done, 0 to 100.")
    loss: float | None = Field(default=None, description="Loss of the last step that the trainer reported.")
    learning_rate: float | None = Field(default=None, description="Learning rate of the last reported step.")
    steps_per_s: float | None = Field(
        default=None, description="Steps a second, as the trainer reports them."
    )
    eta_s: float | None = Field(default=None, description="Seconds to the end at the present speed.")
    image: int | None = Field(
        default=None, description="The present image of a generation, from 1; the steps are this image's."
    )
    total_images: int | None = Field(default=None, description="Number of images in all.")
    node: str | None = Field(
        default=None, description="The node of the workflow that runs now: its title, or its class."
    )
    node_id: str | None = Field(default=None, description="That node's id in the workflow.")
    node_value: float | None = Field(default=None, description="How far that node is, if it says so.")
    node_max: float | None = Field(default=None, description="Where that node ends, if it says so.")
    nodes_done: int | None = Field(
        default=None, description="Nodes of the present image's workflow that are done."
    )
    total_nodes: int | None = Field(default=None, description="Nodes of the workflow in all.")
    detail: str | None = Field(default=None, description="What it is busy with, in a few words.")


class FailureView(WireModel):
    """Why a process failed."""

    code: AnsweredCode = Field(description="The kind of failure.")
    message: str = Field(description="What happened, in one sentence.")
    hint: str = Field(default="", description="What to do about it.")


class CheckpointView(WireModel):
    """Weights that a process wrote."""

    path: RelativePath = Field(description="Relative to the workspace.")
    step: int | None = Field(default=None, description="Steps it was trained for.")
    size_bytes: int = Field(description="Size of the file.")
    created_at: Moment = Field(description="When it was written.")
    final: bool = Field(default=False, description="Whether it is the end result.")


class SampleView(WireModel):
    """A sample image of a running training."""

    path: RelativePath = Field(description="Relative to the workspace.")
    step: int = Field(description="Steps that were done when it was made.")
    index: int = Field(description="Which of the sample prompts it shows, from 0.")


class ProcessSummary(WireModel):
    """A process in a list."""

    process_id: ProcessId = Field(description="The process.")
    type: str = Field(description="What kind of process: `train`, `generate`.")
    name: str = Field(description="The trained model's name, if it is a training.")
    sweep_id: ProcessId | None = Field(default=None, description="The sweep that it belongs to, or is.")
    trainer: str | None = Field(default=None, description="The trainer that runs it, if it is a training.")
    engine: str | None = Field(default=None, description="The engine that runs it, if it is a generation.")
    status: str = Field(
        description="queued, preparing, running, stopping, completed, failed, cancelled or interrupted, as observed."
    )
    phase: str | None = Field(default=None, description="What it is busy with while it runs.")
    progress: ProgressView = Field(description="How far it is.")
    estimate: EstimateView | None = Field(
        default=None, description="How long a training takes in all, corrected while it runs."
    )
    fetch: FetchProgress | None = Field(
        default=None, description="Progress of fetching its dataset, if that is remote."
    )
    created_at: Moment = Field(description="When it was accepted.")
    started_at: Moment | None = Field(default=None, description="When it got its turn, the last time.")
    ended_at: Moment | None = Field(default=None, description="When it ended.")
    worker_id: str = Field(description="The worker that holds or last held it.")
    reason: str | None = Field(
        default=None,
        description="What ended a `cancelled` process, if no person cancelled it: `limit`, `no_improvement`, or `sweep` (the "
        "sweep that it belongs to was cancelled).",
    )
    reason_detail: str | None = Field(
        default=None,
        description="The reason in one sentence, e.g. which look was the best and how many since then were no better.",
    )
    failure: FailureView | None = Field(
        default=None, description="Why it failed or was interrupted, if that is known."
    )
    job_id: str | None = Field(default=None, description="The caller's own id of the job.")
    runpod_job_id: str | None = Field(
        default=None,
        description="The RunPod job that asked for it, if it is known: while that job is open, its status shows the progress "
        "and asks no worker.",
    )


class ProcessView(Result, ProcessResults, ProcessSummary):
    """All that is known of a process."""

    dataset: DatasetView | None = Field(default=None, description="What it learns from.")
    base_model: str | None = Field(default=None, description="The model that a training trains on.")
    trigger_word: str | None = Field(default=None, description="The trigger word of a training.")
    settings: TrainingSettings | None = Field(
        default=None, description="The settings of a training that people compare; all are in its config."
    )
    start_from: StartedFrom | None = Field(
        default=None, description="The LoRA that a training began with, if it was one."
    )
    limits: TrainingLimits | None = Field(
        default=None, description="When a training ends by itself, if it has limits."
    )
    best_step: int | None = Field(
        default=None, description="The step with the best look so far, for a training with `stop_when`."
    )
    ran_s: float | None = Field(
        default=None,
        description="Seconds that the trainer of a training has run since the last `train` or `resume` of a person.",
    )
    sample_prompts: list[str] = Field(
        default=[], description="The prompts of a training's samples, by their `index`; without flags."
    )
    gpu: str | None = Field(
        default=None, description="Name of the GPU that a training has, or had last, if it is known."
    )
    exit_code: int | None = Field(default=None, description="Exit status of the trainer, once it has ended.")
    signal: str | None = Field(default=None, description="Name of the signal that ended the trainer.")
    checkpoints: list[CheckpointView] = Field(default=[], description="Weights by step, the final ones last.")
    samples: list[SampleView] = Field(default=[], description="Sample images by step and index.")
    output_files: list[RelativePath] = Field(default=[], description="Every file that the process wrote.")
    uploads: UploadsView | None = Field(
        default=None, description="Progress of uploading its artifacts, if they go to an object store."
    )
    outcome: dict[str, Any] | None = Field(
        default=None,
        description="All its results, if it is not a training; results of its kind are in fields beside this one too.",
    )
    config_path: RelativePath | None = Field(
        default=None, description="The config as the trainer got it, if it is a training."
    )
    output_path: RelativePath = Field(description="The folder that it writes to.")
    log_path: RelativePath = Field(description="Its log.")
    resumable: bool = Field(description="Whether `resume` can continue it instead of starting again.")
    resumed_from_step: int | None = Field(
        default=None, description="The step that the last run went on from."
    )
    log_tail: list[str] | None = Field(default=None, description="The last lines of the log, if requested.")
    metrics: dict[str, float] | None = Field(
        default=None, description="The newest value of every metric, if requested."
    )
