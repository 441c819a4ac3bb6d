"""What the process manager needs of a trainer.

The manager calls, in this order: `probe` (any time, often), `prepare` (while the request is still open, so that bad
input is refused before it costs anything), `launch`, `reader` and `control` (once a run each, in the supervisor's
thread), and `outcome` (when the child has exited).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lorapod.processes.launch import ChildExit, LaunchSpec, WarmSpec
from lorapod.processes.progress import Failure, Observation
from lorapod.processes.requests import Capability, Control


@dataclass(frozen=True, kw_only=True)
class TrainerStatus:
    """Whether a trainer can be used on this machine."""

    available: bool
    version: str | None = None
    #: Where it was found, or what is missing, in one sentence.
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """One training, as its caller asked for it; every path is absolute."""

    process_id: str
    #: AI Toolkit's config format, parsed, otherwise as the caller wrote it.
    config: Mapping[str, Any]
    #: Folder of pictures and captions; None: the config's own `folder_path`s count.
    dataset: Path | None
    #: Where the trainer writes: it makes `<training_folder>/<config.name>/` there.
    training_folder: Path
    #: A folder on local disk that is this process's alone (control database).
    scratch: Path
    #: The workspace's root; paths in the config must not lead outside, but for models.
    workspace: Path
    #: Name where the config has none.
    name: str | None = None
    #: Whether the dataset is there; else it will be before the launch, and a second `prepare` comes then.
    dataset_ready: bool = True


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A training that is ready to be launched."""

    process_id: str
    #: `config.name`, the stem of every artifact.
    name: str
    #: The config as the trainer gets it.
    config: Mapping[str, Any]
    #: `<training_folder>/<name>`.
    run_folder: Path
    #: SQLite file of the control table, on local disk.
    control_path: Path
    total_steps: int
    trigger_word: str | None = None
    base_model: str | None = None
    #: What the caller should know but need not change, a sentence each.
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the exit meant: success, a stop that was wished, or a failure."""

    succeeded: bool
    #: It ended because it was told to, before its work was done.
    stopped: bool = False
    failure: Failure | None = None


class Reader(Protocol):
    """Follows one run; used by one thread."""

    def line(self, text: str) -> Observation | None:
        """Read one line of the child's stdout or stderr, without its line end."""

    def poll(self) -> Observation | None:
        """Look at the files of the run (control table, loss log); called about once a second."""


class Trainer(Protocol):
    """One program that trains."""

    #: As requests and records name it, e.g. `ai-toolkit`.
    name: str
    capabilities: frozenset[Capability]
    #: Whether a machine without a GPU is no use to it (`ALLOW_CPU` overrides).
    needs_gpu: bool

    @property
    def warm(self) -> WarmSpec | None:
        """How it is kept warm; None: it cannot be, or is not here. As cheap as `probe`."""

    def probe(self) -> TrainerStatus:
        """Whether it can be used here; cheap, no import of the trainer, no GPU touched."""

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        """Validate the request and build the final config; writes nothing.

        Raises:
            WorkerError: `InvalidInput` with one entry in `details` (`{"field": path of the key, "error": sentence}`)
                for every problem found, or another of its tree.
        """

    def launch(self, plan: TrainingPlan, config_path: Path) -> LaunchSpec:
        """How to start the child on the config that was written to `config_path`; makes the control table afresh."""

    def reader(self, plan: TrainingPlan) -> Reader:
        """A fresh reader for one run."""

    def control(self, plan: TrainingPlan) -> Control:
        """The control of one run."""

    def outcome(self, plan: TrainingPlan, child: ChildExit) -> Outcome:
        """What the child's exit meant, judged by its files and last lines, not by its exit code alone."""
