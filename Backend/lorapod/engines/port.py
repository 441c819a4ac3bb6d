"""The port of engines.

An engine is one program that makes images or videos: a resident child process, a server beside the worker, or a child
started for each generation. A worker has one of each, and calls, in this order: `probe` (any time, often, any thread),
`prepare` (while the request is still open, so that bad input is refused at no cost), `generate` (in a
supervisor's thread, once the generation holds a GPU; one generation of an engine at a time), and `release`, when
another process is about to get the GPU on which the engine stayed loaded.

An engine may stay loaded between generations; it then holds no slot, only memory, and frees that at `release`. It may
also unload by itself after a while (`ENGINE_IDLE_S`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import SecretStr

from lorapod.models.port import Downloads, ModelCatalog
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.slots import Slot
from lorapod.records.status import Phase


@dataclass(frozen=True, kw_only=True)
class EngineStatus:
    """Whether an engine can be used on this machine, and what it holds."""

    available: bool
    version: str | None = None
    #: One sentence: where it was found, or what is missing.
    detail: str = ""
    #: Whether it is loaded, and so uses the GPU's memory.
    resident: bool = False
    #: The model that it has loaded; None if it does not say.
    model: str | None = None
    #: What does not work though the engine does: a sentence that says what to do, by the name of the check in `health`.
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LoraUse:
    """One LoRA in a generation."""

    #: Absolute; below the workspace, and there when the request came.
    path: Path
    weight: float = 1.0
    #: The file's name without its suffix.
    name: str


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generation with everything resolved; every path is absolute. None: the engine's own default."""

    process_id: str
    #: Empty if a workflow or a config contains it.
    prompt: str = ""
    negative_prompt: str | None = None
    #: In pixels.
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    #: Of the first image; image `i` (from 0) has `seed + i`. Already chosen if the caller gave none.
    seed: int
    #: Whether the caller chose it: else a workflow's own seeds may stay.
    seed_given: bool = True
    num_images: int = 1
    loras: Sequence[LoraUse] = ()
    #: The base model as the caller names it: a name the engine knows, a Hub id, or a path below the workspace.
    model: str | None = None
    #: The base model that the first LoRA with a known training was trained on, as that training's config names it.
    trained_on: str | None = None
    #: The input image, a JPEG, PNG or WebP known to be whole; like all inputs a file on local disk that is this
    #: generation's alone.
    image: Path | None = None
    #: White where the input image is changed; an image as that is.
    mask: Path | None = None
    video: Path | None = None
    audio: Path | None = None
    #: Input files by the names that a workflow has.
    named_inputs: Mapping[str, Path] = field(default_factory=dict)
    #: Holds the input files and nothing else; removed after the generation.
    inputs_folder: Path | None = None
    #: How much of the input image is changed, 0 to 1.
    strength: float | None = None
    #: Frames of a video.
    length: int | None = None
    #: A workflow of the caller's own (ComfyUI's API form).
    workflow: Mapping[str, Any] | None = None
    #: Name of one of the worker's workflow templates.
    workflow_name: str | None = None
    #: An AI Toolkit config, parsed.
    config: Mapping[str, Any] | None = None
    #: The engine's own parameters, passed through.
    params: Mapping[str, Any] = field(default_factory=dict)
    #: Never to be logged, kept or put into an environment.
    comfy_org_api_key: SecretStr | None = None
    #: Where results go, `output/<process_id>`; made before `generate`.
    folder: Path
    #: A folder on local disk that is this process's alone; made before `generate`, removed after it.
    scratch: Path


@dataclass(frozen=True, kw_only=True)
class GenerationProgress:
    """The progress of a generation; None: not known, or unchanged."""

    #: Steps of the present image that are done, and in all.
    step: int | None = None
    total_steps: int | None = None
    #: The present image, from 1, and how many there will be.
    image: int | None = None
    total_images: int | None = None
    #: The node of a workflow that is at work, as a person would name it, and its id.
    node: str | None = None
    node_id: str | None = None
    #: How far that node is, and where it ends, in its own unit.
    node_value: float | None = None
    node_max: float | None = None
    #: Nodes of the present image's workflow that are done, and in all.
    nodes_done: int | None = None
    total_nodes: int | None = None
    #: Of the whole generation, 0 to 100; None: it is computed from steps and images.
    percent: float | None = None
    #: What it does now, in a few words, e.g. `loading the model`.
    detail: str | None = None
    #: What it is busy with; None: unchanged, and `GENERATING` once there is a step or a node.
    phase: Phase | None = None


@dataclass(frozen=True, kw_only=True)
class GeneratedFile:
    """One file that a generation made; its name shows its kind (`lorapod.kinds`)."""

    #: Absolute, below the generation's `folder`.
    path: Path
    #: The seed that makes it again; None if it is not known.
    seed: int | None = None
    #: The engine's own list that names it, such as ComfyUI's `images` and `gifs`; None: it has no lists.
    listed_as: str | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """The result of a generation."""

    #: In the order in which they are answered.
    files: Sequence[GeneratedFile]
    #: False: the engine uses no seed, or does not report the one that it used.
    seed_known: bool = True
    #: What the caller should know, a sentence each; those of `prepare` may be among them.
    warnings: Sequence[str] = ()
    #: Seconds by what they were spent on, e.g. `load_s`, `generate_s`.
    timings: Mapping[str, float] = field(default_factory=dict)


class GenerationRun(Protocol):
    """What an engine may use while it generates; any thread, until `generate` returns."""

    #: The GPU that it may use.
    slot: Slot
    #: What the child inherits: no secrets, and the GPU chosen.
    environment: Mapping[str, str]

    def stopped(self) -> bool:
        """Return whether to end early, with `GenerationStopped`; ask several times a second: it is cheap."""

    def report(self, progress: GenerationProgress) -> None:
        """Report the progress; as often as you like."""

    def log(self, text: str) -> None:
        """Write one line to the process's log; secrets that the worker knows are masked."""

    def run_child(self, spec: LaunchSpec, on_line: Callable[[str], None]) -> ChildExit:
        """Run a child to its end: with a guard that ends it when the worker dies, and with stops carried out.

        Args:
            spec: how to start it.
            on_line: called with every line of its output, which goes to the log too.

        Raises:
            OSError: it cannot be started.
        """


class GenerationStopped(Exception):
    """The generation was stopped."""


class Engine(Protocol):
    """One program that generates."""

    #: As requests and records name it, e.g. `comfyui`.
    name: str
    #: GPU memory that must be free before it loads anything, in bytes; 0: it does not say.
    min_gpu_memory_bytes: int

    @property
    def needs_gpu(self) -> bool:
        """Whether this worker must have a GPU for it (`ALLOW_CPU` overrides); called only on a worker without a GPU; may block for a second."""

    def probe(self) -> EngineStatus:
        """Return whether it can be used here, within a tenth of a second; load nothing, touch no GPU."""

    def prepare(self, generation: Generation) -> Sequence[str]:
        """Check all that can be checked before a start; return warnings, a sentence each.

        Writes nothing; `folder` and `scratch` need not exist yet. Parameters that the engine does not know are
        warnings, not errors.

        Raises:
            WorkerError: it cannot be generated like this.
        """

    def generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        """Make the images, and stay loaded for the next ones.

        Raises:
            GenerationStopped: `run.stopped()` was true. Files that are written already stay.
            WorkerError: it failed; one sentence for the caller, no traceback.
            OSError: the disk failed.
        """

    def release(self) -> None:
        """Free the GPU's memory before returning. Fast if nothing is loaded; never called during `generate`."""

    def close(self) -> None:
        """End everything that was started. Called once when the worker ends, perhaps while `generate` still runs."""


@dataclass(frozen=True, kw_only=True)
class EngineBundle:
    """An engine with what belongs to it."""

    engine: Engine
    #: The engine's own list of models; None: it uses the workspace's.
    catalog: ModelCatalog | None = None
    #: How the engine downloads models into its own list; None: it does not.
    downloads: Downloads | None = None


@runtime_checkable
class KeptWarm(Protocol):
    """An engine that becomes slow after a while without requests."""

    name: str

    def keep_warm(self) -> None:
        """Called every few seconds while a caller wants the worker warm; blocks for some seconds at most.

        Raises:
            WorkerError: it does not answer.
        """
