"""The port of captioners: programs with a model that writes a text about an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lorapod.captioners.prompts import CaptionStyle
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.slots import Slot
from lorapod.records.status import Phase


@dataclass(frozen=True, kw_only=True)
class CaptionerStatus:
    """Whether a captioner can be used on this worker."""

    available: bool
    version: str | None = None
    #: One sentence: what is installed, or what is missing.
    detail: str = ""
    #: Whether it has a model on the GPU.
    resident: bool = False


@dataclass(frozen=True, kw_only=True)
class CaptionRequest:
    """What all images of one captioning have in common."""

    process_id: str
    #: A path in the workspace or a Hub id; None: the captioner's own default.
    model: str | None
    style: CaptionStyle
    #: What the model is asked; if `by_name`, `{filename}` in it is not filled in yet.
    prompt: str
    #: Whether the caller wrote the prompt; else it is the style's.
    own_prompt: bool
    max_new_tokens: int
    #: Images at a time; None: as many as usually fit. Fewer if memory runs out.
    batch_size: int | None
    #: A folder on local disk that is this process's alone; made before `caption`, removed after it.
    scratch: Path
    #: Whether the prompt has the image's name in it, and so differs from image to image.
    by_name: bool = False


@dataclass(frozen=True, kw_only=True)
class CaptionImage:
    """One item of the dataset."""

    #: Its name in the dataset.
    name: str
    #: The image, or the frames of a video in their order; absolute paths.
    pictures: Sequence[Path]
    #: What the model is asked about it.
    prompt: str


class CaptionRun(Protocol):
    """What a captioner may use while it captions; for the thread that calls `caption`."""

    #: The GPU that it may use.
    slot: Slot
    #: What the child inherits: no secrets, and the GPU chosen.
    environment: Mapping[str, str]

    def stopped(self) -> bool:
        """Return whether to end early, with `CaptioningStopped`; ask several times a second: it is cheap."""

    def report(self, detail: str, phase: Phase | None = None) -> None:
        """Report what it does now, in a few words."""

    def captioned(self, name: str, text: str) -> None:
        """Report the caption of one image, as soon as there is one: it is written to the dataset at once.

        Raises:
            OSError: it cannot be written.
        """

    def failed(self, name: str, error: str, *, by_model: bool = False) -> None:
        """Report that one image gets no caption, and why, in a sentence; the others go on.

        Args:
            name: the image.
            error: the sentence.
            by_model: the model failed, not the file: the next image may well fail too.

        Raises:
            WorkerError: the model has failed too often to go on.
        """

    def log(self, text: str) -> None:
        """Write one line to the process's log; secrets that the worker knows are masked."""

    def run_child(self, spec: LaunchSpec, on_line: Callable[[str], None]) -> ChildExit:
        """Run a child to its end, as `lorapod.processes.task.TaskRun.run_child` does."""


class CaptioningStopped(Exception):
    """The captioning was stopped."""


class Captioner(Protocol):
    """One program that captions."""

    #: As requests and records name it, e.g. `transformers`.
    name: str
    #: Whether this worker must have a GPU for it (`ALLOW_CPU` overrides).
    needs_gpu: bool

    def probe(self) -> CaptionerStatus:
        """Return whether it can be used here, within a tenth of a second; load nothing, touch no GPU."""

    def prepare(self, request: CaptionRequest) -> Sequence[str]:
        """Check all that can be checked before a start; return warnings, a sentence each. Write nothing.

        Raises:
            WorkerError: it cannot caption like this.
        """

    def caption(self, request: CaptionRequest, images: Iterable[CaptionImage], run: CaptionRun) -> None:
        """Caption the images, and stay loaded for the next ones; each is reported to `run` once, at once.

        Raises:
            CaptioningStopped: `run.stopped()` was true. What was reported already stays.
            WorkerError: no image can be captioned; one sentence for the caller, no traceback.
            OSError: the disk failed.
        """

    def release(self) -> None:
        """Free the GPU's memory before returning. Fast if nothing is loaded; never called during `caption`."""

    def close(self) -> None:
        """End everything that was started. Called once when the worker ends, perhaps while `caption` still runs."""
