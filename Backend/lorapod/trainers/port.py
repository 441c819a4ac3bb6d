"""The port of trainers: what the process manager needs of a program that trains.

The manager calls, in this order: `probe` (at any time, often), `prepare` (while the request is still open, so that bad
input is refused before it costs anything), `launch`, `reader` and `control` (once for each run, in the supervisor's
thread), and `outcome` (after the child has exited).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lorapod.processes.launch import ChildExit, LaunchSpec, WarmSpec
from lorapod.processes.requests import Capability, Control
from lorapod.records.progress import Failure, Observation


@dataclass(frozen=True, kw_only=True)
class TrainerStatus:
    """The availability of a trainer on this machine."""

    available: bool
    version: str | None = None
    #: Where it was found, or what is missing, in one sentence.
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Images that are held back from a training, to see their loss."""

    #: Share of the first dataset's images.
    share: float
    #: Steps between two looks.
    every: int


@dataclass(frozen=True, kw_only=True)
class StartWeights:
    """A LoRA that a training begins with."""

    #: Where it lies when the trainer is launched; before that it need not be there.
    path: Path
    #: What the metadata of the new weights tells of it.
    parent: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """One training as its caller requested it; every path is absolute."""

    process_id: str
    #: A config in AI Toolkit's format: parsed, but otherwise as the caller wrote it.
    config: Mapping[str, Any]
    #: The folder of images and captions; None means the `folder_path`s of the config.
    dataset: Path | None
    #: The folder for the trainer's output: it makes `<training_folder>/<config.name>/`.
    training_folder: Path
    #: A folder on local disk for this process alone; it holds the control table.
    scratch: Path
    #: The root of the workspace; paths in the config must not lead outside, except to models.
    workspace: Path
    #: The name for a config without one.
    name: str | None = None
    #: Whether the dataset exists already. If not, it will before the launch, and `prepare` is called again then.
    dataset_ready: bool = True
    #: Whether keys and values that the worker does not know are refused; else they are warnings.
    strict: bool = True
    #: None: every image is learnt.
    held_out: HeldOut | None = None
    #: Steps in all, in place of the config's; None: the config's count.
    steps: int | None = None
    #: None: fresh weights.
    start: StartWeights | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A training that is ready to be launched."""

    process_id: str
    #: `config.name`, the stem of every artifact's file name.
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
    #: Whether images of the dataset are held back: the child must not find them in its dataset.
    holds_out: bool = False
    #: One sentence for each thing that the caller should know but need not change.
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an exit meant: success, a requested stop, or a failure."""

    succeeded: bool
    #: Whether it ended on request, before the training was complete.
    stopped: bool = False
    failure: Failure | None = None


class Reader(Protocol):
    """A reader of one run's progress; used by one thread."""

    def line(self, text: str) -> Observation | None:
        """Read one line of the child's stdout or stderr, without its line end."""

    def poll(self) -> Observation | None:
        """Read the files of the run (control table, loss log); called about once a second."""


class Trainer(Protocol):
    """A program that trains."""

    #: The name in requests and records, for example `ai-toolkit`.
    name: str
    capabilities: frozenset[Capability]
    #: Whether it needs a GPU (`ALLOW_CPU` overrides this).
    needs_gpu: bool

    @property
    def warm(self) -> WarmSpec | None:
        """Return how to keep it imported in a template process, or None if that is not possible; as cheap as `probe`."""

    def probe(self) -> TrainerStatus:
        """Return whether it can be used here; cheap: imports nothing of the trainer and does not touch the GPU."""

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        """Validate the request and build the final config; write nothing.

        Raises:
            WorkerError: `InvalidInput` with one entry in `details` (`{"field": path of the key, "error": sentence}`)
                for every problem that was found, or another error of the tree.
        """

    def launch(self, plan: TrainingPlan, config_path: Path) -> LaunchSpec:
        """Make a fresh control table and return how to start the child on the config in `config_path`."""

    def reader(self, plan: TrainingPlan) -> Reader:
        """Return a new reader of one run."""

    def control(self, plan: TrainingPlan) -> Control:
        """Return the control of one run."""

    def outcome(self, plan: TrainingPlan, child: ChildExit) -> Outcome:
        """Return what the child's exit meant, judged by its files and last lines, not by its exit code alone."""
