"""What the process manager needs of a trainer.

The manager calls, in this order: `probe` (any time, often), `prepare` (while the request is still open, so that bad
input is refused before it costs anything), `launch`, `reader` and `control` (once a run each, in the supervisor's
thread), and `outcome` (when the child has exited).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from lorapod.errors import ErrorCode


class Capability(StrEnum):
    """What a trainer can be asked for while it runs."""

    #: Write a checkpoint at the end of the present step.
    SAVE = "save"
    #: Make sample pictures at the next step.
    SAMPLE = "sample"
    #: Go on from the newest whole checkpoint.
    RESUME = "resume"


class Phase(StrEnum):
    """What a running process is busy with."""

    STARTING = "starting"
    #: Its dataset comes from elsewhere; the trainer has not been started yet.
    FETCHING = "fetching"
    #: Its dataset is there and checked; another process holds the GPU.
    WAITING = "waiting"
    LOADING_MODEL = "loading_model"
    PREPARING_DATASET = "preparing_dataset"
    SAMPLING = "sampling"
    TRAINING = "training"
    #: An engine makes pictures.
    GENERATING = "generating"
    SAVING = "saving"


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
class LaunchSpec:
    """How to start the child."""

    argv: tuple[str, ...]
    cwd: Path
    #: Added to the environment that every trainer inherits.
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WarmSpec:
    """How to have a process ready that has a trainer imported, so that its trainings can be forked from it."""

    #: The interpreter and its options; a launch that does not begin so is started cold.
    python: tuple[str, ...]
    #: The folder for the imports, and the first in which modules are looked for.
    cwd: Path
    #: A script that imports what is heavy and does nothing else: no thread may be left, CUDA not be initialised. It
    #: does not see what a launch adds to the environment, and runs under `python`: it may not import this package
    #: unless that has it.
    preload: Path
    #: Files, and folders of Python files, whose change makes the process out of date.
    sources: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one line of output or one look at the trainer's files told; None: nothing new."""

    phase: Phase | None = None
    step: int | None = None
    total_steps: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    steps_per_s: float | None = None
    eta_s: float | None = None
    #: The step that this run goes on from.
    resumed_from_step: int | None = None
    #: The line is one repaint of a progress bar: worth reading, not worth keeping each time.
    repaint: bool = False


@dataclass(frozen=True, kw_only=True)
class ChildExit:
    """How the child ended."""

    #: None where a signal ended it.
    exit_code: int | None
    signal: int | None
    #: Whether the manager had asked it to stop.
    stop_requested: bool
    #: When this run was launched, in seconds since the epoch, as file times are.
    launched_at: float
    #: The end of its output, oldest first, without line ends.
    last_lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a process failed, for its caller."""

    code: ErrorCode
    message: str
    hint: str = ""


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


class Control(Protocol):
    """Talks to one run; used by one thread, never blocks for long."""

    def request_save(self) -> None:
        """Ask for a checkpoint at the end of the present step."""

    def save_pending(self) -> bool:
        """Whether a requested checkpoint is not yet written."""

    def request_sample(self) -> None:
        """Ask for sample pictures at the next step."""


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
