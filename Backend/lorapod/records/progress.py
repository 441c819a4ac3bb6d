"""What is observed of a run: its progress, what its child reported, and why it failed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.errors import ErrorCode
from lorapod.records.status import Phase


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a process failed, for its caller."""

    code: ErrorCode
    message: str
    hint: str = ""
    #: One flat object for each single problem, as errors have them.
    details: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one line of output, or one look at the trainer's files, reports; None: nothing new."""

    phase: Phase | None = None
    step: int | None = None
    total_steps: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    steps_per_s: float | None = None
    eta_s: float | None = None
    #: The step that this run resumed from.
    resumed_from_step: int | None = None
    #: The line is one repaint of a progress bar: not every repaint is kept in the log.
    repaint: bool = False


@dataclass(frozen=True, kw_only=True)
class StoredProgress:
    """The progress of a process; speeds in steps per second, times in seconds."""

    step: int = 0
    total_steps: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    steps_per_s: float | None = None
    eta_s: float | None = None
    #: The image of a generation, counted from 1, that the steps belong to.
    image: int | None = None
    total_images: int | None = None
    #: The node of a workflow that runs, and its id.
    node: str | None = None
    node_id: str | None = None
    #: How far that node is, and where it ends; None if it does not say.
    node_value: float | None = None
    node_max: float | None = None
    #: Nodes of the present image's workflow that are done, and in all.
    nodes_done: int | None = None
    total_nodes: int | None = None
    #: What it does now, in a few words.
    detail: str | None = None
    #: Percentage of all its work, if it reports that itself.
    told_percent: float | None = None

    @property
    def percent(self) -> float | None:
        """Percentage of its work that is done, 0 to 100; None if unknown."""
        if self.told_percent is not None:
            return round(min(100.0, max(0.0, self.told_percent)), 2)
        if not self.total_steps:
            return None
        done = self.step / self.total_steps
        if self.image and self.total_images:
            done = (self.image - 1 + done) / self.total_images
        return round(min(100.0, 100.0 * done), 2)

    def updated(self, seen: Observation) -> StoredProgress:
        """Return this progress with what was observed since; the rest is unchanged."""
        names = (item.name for item in dataclasses.fields(self))
        news = {name: value for name in names if (value := getattr(seen, name, None)) is not None}
        return dataclasses.replace(self, **news) if news else self
