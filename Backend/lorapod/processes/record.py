"""What is known of one process: the truth that its owner writes and everybody reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lorapod.processes.status import ProcessStatus, check_transition
from lorapod.trainers.port import Failure, Observation, Phase
from lorapod.wire.dataset import FetchProgress
from lorapod.workspace import Workspace

#: Version of the stored form; a reader refuses a newer one.
RECORD_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a process is; speeds in steps a second, times in seconds."""

    step: int = 0
    total_steps: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    steps_per_s: float | None = None
    eta_s: float | None = None
    #: The present picture of a generation, from 1, whose steps these are.
    image: int | None = None
    total_images: int | None = None
    #: The node of a workflow that is at work.
    node: str | None = None
    #: What it is busy with, in a few words.
    detail: str | None = None
    #: Share of all its work that is done, where it tells that itself.
    told_percent: float | None = None

    @property
    def percent(self) -> float | None:
        """Share of its work that is done, 0 to 100."""
        if self.told_percent is not None:
            return round(min(100.0, max(0.0, self.told_percent)), 2)
        if not self.total_steps:
            return None
        done = self.step / self.total_steps
        if self.image and self.total_images:
            done = (self.image - 1 + done) / self.total_images
        return round(min(100.0, 100.0 * done), 2)

    def updated(self, seen: Observation) -> Progress:
        """This progress with what was seen since; what was not seen stays."""
        names = (item.name for item in dataclasses.fields(self))
        news = {name: value for name in names if (value := getattr(seen, name, None)) is not None}
        return dataclasses.replace(self, **news) if news else self


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
    #: What trains, for a training.
    trainer: str = ""
    #: What generates, for a generation.
    engine: str | None = None
    #: Counts the runs; whoever began the newest is the only writer.
    generation: int = 1
    #: The one run of the one worker that holds it: an id that is never used again.
    holder: str = ""
    #: The folder of its session, which its config and output lie in; None: they lie in its own places.
    session: str | None = None
    #: The machine and process namespace in which `pid` means something.
    host: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    phase: Phase | None = None
    progress: Progress = field(default_factory=Progress)
    exit_code: int | None = None
    #: Name of the signal that ended the child, e.g. `SIGKILL`.
    signal: str | None = None
    failure: Failure | None = None
    resumed_from_step: int | None = None
    trigger_word: str | None = None
    base_model: str | None = None
    #: The caller's own id of the job, echoed in events.
    job_id: str | None = None
    idempotency_key: str | None = None
    #: What it is found by when the same is asked again; two keys can have drawn the same process id.
    key: str | None = None
    #: The RunPod job that asked for this run; the platform hands it out again when its worker has died.
    asked_by: str | None = None
    #: What is known of the dataset, for answers.
    dataset: Mapping[str, Any] = field(default_factory=dict)
    #: How far it is fetched, where it comes from elsewhere.
    fetch: FetchProgress | None = None
    #: What a completed task has left, as its kind tells it.
    outcome: Mapping[str, Any] = field(default_factory=dict)
    #: Whether it can be taken up again without anything that it wrote.
    goes_on: bool = False
    #: The child's process id, which is also that of its group, and when it started (seconds since boot).
    pid: int | None = None
    pid_started: float | None = None
    version: int = RECORD_VERSION

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
        """This record in its next state.

        Raises:
            IllegalTransition: the table of states has no such change.
        """
        check_transition(self.status, status)
        return dataclasses.replace(self, status=status, **changes)

    def taken_up(
        self, *, worker_id: str, holder: str, host: str, asked_by: str | None, progress: Progress
    ) -> ProcessRecord:
        """The first record of the next generation: in the line again, nothing left of how the last run ended.

        Raises:
            IllegalTransition: it runs, or is completed.
        """
        return self.moved(
            ProcessStatus.QUEUED,
            generation=self.generation + 1,
            worker_id=worker_id,
            holder=holder,
            host=host,
            asked_by=asked_by,
            progress=progress,
            started_at=None,
            ended_at=None,
            exit_code=None,
            signal=None,
            failure=None,
            pid=None,
            pid_started=None,
            fetch=None,
            outcome={},
        )

    def changed(self, **changes: Any) -> ProcessRecord:
        """This record with other values, its state kept."""
        return dataclasses.replace(self, **changes)

    def observed(self, seen: Observation) -> ProcessRecord:
        """This record with what its reader saw."""
        changes: dict[str, Any] = {}
        if (progress := self.progress.updated(seen)) is not self.progress:
            changes["progress"] = progress
        if seen.phase is not None and seen.phase is not self.phase:
            changes["phase"] = seen.phase
        if seen.resumed_from_step is not None:
            changes["resumed_from_step"] = seen.resumed_from_step
        return dataclasses.replace(self, **changes) if changes else self


_ADAPTER = TypeAdapter(ProcessRecord)


def dump(record: ProcessRecord) -> bytes:
    """The stored form: one JSON object."""
    return _ADAPTER.dump_json(record)


def load(data: bytes) -> ProcessRecord:
    """The record in a stored form.

    Raises:
        ValueError: it is damaged, or of a newer version.
    """
    record = _ADAPTER.validate_json(data)
    if record.version > RECORD_VERSION:
        raise ValueError(f"record version {record.version} is newer than {RECORD_VERSION}")
    return record
