"""The speed that is expected of a training, and how long the training takes with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """Where the speed of an estimate comes from."""

    #: Trainings with the same settings on the same kind of GPU, or the training's own steps.
    HERE = "measured here"
    #: Trainings of the same model on the same kind of GPU with other settings.
    GPU = "measured on this GPU"
    RULE_OF_THUMB = "rule of thumb"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long a training takes in all, and what it needs; None: unknown."""

    #: Seconds that its trainer runs, from its start to its end; after a `resume` those of the rest.
    duration_s: float | None = None
    steps_per_s: float | None = None
    basis: Basis | None = None
    gpu_memory_bytes: int | None = None
    #: Name of the GPU that it holds for; None: a processor, or not known.
    gpu: str | None = None
    #: What it was taken from, or why it is unknown, in one sentence.
    explanation: str = ""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The speed that is expected of a training; None: unknown."""

    #: Without the times below.
    steps_per_s: float | None = None
    basis: Basis | None = None
    #: Seconds from the trainer's start to its first step; 0 if it was not measured.
    start_s: float = 0.0
    #: Seconds that samples and checkpoints take, divided by the steps; 0 if it was not measured.
    other_s_per_step: float = 0.0
    gpu_memory_bytes: int | None = None
    #: Name of the GPU that it holds for; None: a processor, or not known.
    gpu: str | None = None
    explanation: str = ""

    def estimate(self, steps: int, *, ran_s: float = 0.0, running: bool = False) -> Estimate:
        """Return the estimate of a training with `steps` still to go.

        Args:
            steps: steps that are not done.
            ran_s: seconds that its trainer has run.
            running: whether its trainer runs, so that a part of the start is behind it.
        """
        speed, duration_s = self.steps_per_s, None
        if speed:
            ahead_s = max(0.0, self.start_s - ran_s) if running else self.start_s
            duration_s = round(ran_s + ahead_s + max(0, steps) * (1 / speed + self.other_s_per_step), 1)
        return Estimate(
            duration_s=duration_s,
            steps_per_s=speed,
            basis=self.basis,
            gpu_memory_bytes=self.gpu_memory_bytes,
            gpu=self.gpu,
            explanation=self.explanation,
        )
