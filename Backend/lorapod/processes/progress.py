"""What is seen of a run: how far it is, what its child told, and why it failed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from lorapod.errors import ErrorCode, WorkerError
from lorapod.library_errors import system_error
from lorapod.processes.status import Phase


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a process failed, for its caller."""

    code: ErrorCode
    message: str
    hint: str = ""


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


def failure_of(error: OSError | WorkerError, what: str) -> Failure:
    """The failure; `what` says in half a sentence what could not be done, where the error is the system's."""
    told = error if isinstance(error, WorkerError) else system_error(error, what)
    return Failure(code=told.code, message=told.message, hint=told.hint)
