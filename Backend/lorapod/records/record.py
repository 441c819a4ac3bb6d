"""What is known of one process: the truth that its owner writes and everybody reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lorapod.records.forecast import Forecast
from lorapod.records.limits import Continuation, Limits
from lorapod.records.progress import Failure, Observation, StoredProgress
from lorapod.records.status import Phase, ProcessStatus, check_transition
from lorapod.wire.dataset import FetchProgress
from lorapod.workspace import Workspace

#: Version of the stored form; a reader refuses a newer one.
RECORD_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class TrainingDetails:
    """What the record of a training has beside the others."""

    #: The program that trains.
    trainer: str
    #: The folder of its session, which its config and output lie in; None: they lie in the process's own places.
    session: str | None = None
    trigger_word: str | None = None
    base_model: str | None = None
    #: What is known of the dataset, for answers.
    dataset: Mapping[str, Any] = field(default_factory=dict)
    resumed_from_step: int | None = None
    #: Name of the GPU that it has, or had last; None: it trained on none, or the driver did not tell.
    gpu: str | None = None
    #: What its trainer said about its config.
    warnings: tuple[str, ...] = ()
    #: The LoRA that it began with, for answers; None: fresh weights.
    start_from: Mapping[str, Any] | None = None
    #: The sweep that it belongs to; None if it was started alone.
    sweep_id: str | None = None
    #: Steps in all that a `resume` asked for, in place of the config's; None: it did not.
    steps: int | None = None
    #: When it ends by itself; None: at its last step.
    limits: Limits | None = None
    #: Seconds that its trainer has run, all runs since a person asked for it together.
    ran_s: float = 0.0
    #: The speed that is expected of it, then the one that it has; None: nothing is known of it.
    forecast: Forecast | None = None
    #: The step with the best look so far, if its looks can end it.
    best_step: int | None = None
    #: The step from which a person had it go on: earlier looks do not end it again.
    looks_since: int = 0
    #: Why its looks have ended it, in one sentence; None: they have not.
    ended_because: str | None = None


@dataclass(frozen=True, kw_only=True)
class TaskDetails:
    """What the record of a task has beside the others."""

    #: The program that generates, or that fetches a model.
    engine: str | None = None
    #: What a completed task has left, as its kind reports it.
    outcome: Mapping[str, Any] = field(default_factory=dict)
    #: Whether it can be resumed without anything that it wrote.
    restartable: bool = False
    #: The folder of the dataset that it changes, relative to the workspace; None: it changes none.
    dataset: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProcessRecord:
    """One process; every path is relative to the workspace."""

    process_id: str
    #: What kind of work: `train`, `generate`, …
    type: str
    #: For a training: the model's name, the stem of its artifacts.
    name: str
    #: The folder below the output folder that it writes to: for a training the name, unless the config says otherwise.
    folder: str
    status: ProcessStatus
    created_at: datetime
    #: The worker that holds it, or held it last.
    worker_id: str
    #: Counts the runs; the worker that began the newest is the only writer.
    generation: int = 1
    #: The one run of the one worker that holds it: an id that is never used again.
    holder: str = ""
    #: The machine and process namespace in which `pid` means something.
    host: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    phase: Phase | None = None
    progress: StoredProgress = field(default_factory=StoredProgress)
    exit_code: int | None = None
    #: Name of the signal that ended the child, e.g. `SIGKILL`.
    signal: str | None = None
    failure: Failure | None = None
    #: The caller's own id of the job, echoed in events.
    caller_job_id: str | None = None
    idempotency_key: str | None = None
    #: What it is found by when the same is asked again; two keys can have drawn the same process id.
    key: str | None = None
    #: The RunPod job that asked for this run; the platform hands it out again when its worker has died.
    runpod_job_id: str | None = None
    #: How far its dataset or model is fetched, if it comes from elsewhere.
    fetch: FetchProgress | None = None
    #: Its caller cancelled it: whatever ends it from here on, it ends `cancelled`, and nothing resumes it by itself.
    cancel_requested: bool = False
    #: What ended it early, if no person cancelled it: `sweep`, `limit` or `no_improvement`.
    reason: str | None = None
    #: Set for a training.
    training: TrainingDetails | None = None
    #: Set for a generation, a download, and every other task.
    task: TaskDetails | None = None
    #: The child's process id, which is also that of its group, and when it started (seconds since boot).
    pid: int | None = None
    pid_started: float | None = None
    version: int = RECORD_VERSION

    @property
    def trainer(self) -> str:
        """The program that trains; empty if it is no training."""
        return self.training.trainer if self.training is not None else ""

    @property
    def engine(self) -> str | None:
        """The program that generates or fetches; None for other processes."""
        return self.task.engine if self.task is not None else None

    @property
    def session(self) -> str | None:
        """The folder of its session; None if it has none."""
        return self.training.session if self.training is not None else None

    @property
    def dataset(self) -> Mapping[str, Any]:
        """What is known of its dataset, for answers; empty if nothing is."""
        return self.training.dataset if self.training is not None else {}

    @property
    def outcome(self) -> Mapping[str, Any]:
        """What a completed task has left; empty for all else."""
        return self.task.outcome if self.task is not None else {}

    @property
    def resumed_from_step(self) -> int | None:
        """The step that its trainer resumed from; None if it did not."""
        return self.training.resumed_from_step if self.training is not None else None

    @property
    def sweep_id(self) -> str | None:
        """The sweep that it belongs to; None if it was started alone."""
        return self.training.sweep_id if self.training is not None else None

    @property
    def steps(self) -> int | None:
        """The total of steps that a `resume` asked for; None if none did."""
        return self.training.steps if self.training is not None else None

    @property
    def limits(self) -> Limits | None:
        """When it ends by itself; None: at the end of its work."""
        return self.training.limits if self.training is not None else None

    @property
    def reason_detail(self) -> str | None:
        """What ended it early, in one sentence; None if `reason` says all."""
        return self.training.ended_because if self.training is not None and self.reason is not None else None

    def is_retry(self, runpod_job_id: str | None) -> bool:
        """Return whether a RunPod job has asked for this process before: for its last run, or for the first one."""
        return runpod_job_id is not None and (
            self.runpod_job_id == runpod_job_id or self.key == key_of_job(runpod_job_id)
        )

    def output_folder(self, workspace: Workspace) -> Path:
        """Where everything lies that came of it."""
        return workspace.output_folder(self.process_id, self.session)

    def run_folder(self, workspace: Workspace) -> Path:
        """Where the trainer writes."""
        return self.output_folder(workspace) / self.folder

    def config_path(self, workspace: Workspace) -> Path:
        """The config as the trainer gets it."""
        return workspace.config_path(self.process_id, self.session)

    def moved(self, status: ProcessStatus, **changes: Any) -> ProcessRecord:
        """Return this record in its next state.

        Raises:
            IllegalTransition: the table of states has no such change.
        """
        check_transition(self.status, status)
        return dataclasses.replace(self, status=status, **changes)

    def taken_up(
        self,
        *,
        worker_id: str,
        holder: str,
        host: str,
        runpod_job_id: str | None,
        progress: StoredProgress,
        changes: Continuation,
        asked: bool,
    ) -> ProcessRecord:
        """Return the first record of the next generation: queued again, with no trace of how the last run ended.

        `changes` are those of a training that continues with other settings. `asked`: a person asks for it, and its time counts from zero.

        Raises:
            IllegalTransition: it runs.
        """
        training = self.training
        if training is not None:
            training = dataclasses.replace(
                training,
                steps=changes.steps or training.steps,
                limits=changes.limits or training.limits,
                ran_s=0.0 if asked else training.ran_s,
                looks_since=progress.step if asked else training.looks_since,
                ended_because=None,
            )
        return self.moved(
            ProcessStatus.QUEUED,
            generation=self.generation + 1,
            worker_id=worker_id,
            holder=holder,
            host=host,
            runpod_job_id=runpod_job_id,
            progress=progress,
            started_at=None,
            ended_at=None,
            exit_code=None,
            signal=None,
            failure=None,
            pid=None,
            pid_started=None,
            fetch=None,
            cancel_requested=False,
            reason=None,
            training=training,
            task=None if self.task is None else dataclasses.replace(self.task, outcome={}),
        )

    def changed(self, **changes: Any) -> ProcessRecord:
        """Return this record with other values and the same state."""
        return dataclasses.replace(self, **changes)

    def with_dataset(self, known: Mapping[str, Any]) -> ProcessRecord:
        """Return the record of a training with what is known of its dataset now."""
        if self.training is None:
            return self
        return self.changed(training=dataclasses.replace(self.training, dataset=known))

    def on_gpu(self, name: str | None) -> ProcessRecord:
        """Return the record of a training with the name of the GPU that it has."""
        if self.training is None:
            return self
        return self.changed(training=dataclasses.replace(self.training, gpu=name))

    def with_outcome(self, outcome: Mapping[str, Any]) -> ProcessRecord:
        """Return the record of a task with what it has left."""
        return self.changed(task=dataclasses.replace(self.task or TaskDetails(), outcome=outcome))

    def observed(self, seen: Observation) -> ProcessRecord:
        """Return this record with what its reader saw."""
        changes: dict[str, Any] = {}
        if (progress := self.progress.updated(seen)) is not self.progress:
            changes["progress"] = progress
        if seen.phase is not None and seen.phase is not self.phase:
            changes["phase"] = seen.phase
        if seen.resumed_from_step is not None and self.training is not None:
            changes["training"] = dataclasses.replace(self.training, resumed_from_step=seen.resumed_from_step)
        return dataclasses.replace(self, **changes) if changes else self


def key_of_job(runpod_job_id: str) -> str:
    """Return the key of a process whose request has no other key than its RunPod job."""
    return f"runpod-job:{runpod_job_id}"
