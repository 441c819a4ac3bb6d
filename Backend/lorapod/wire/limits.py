"""When a training ends by itself."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from lorapod.wire.model import Moment, WireModel


class TrainingLimits(WireModel):
    """A training that reaches a limit writes a checkpoint and ends `cancelled`, with `reason: "limit"`."""

    duration_s: float | None = Field(
        default=None,
        gt=0,
        le=30 * 86_400,
        description="Seconds that its trainer may run, all runs since your last `train` or `resume` together; loading the model "
        "counts, because it costs the same; waiting for a GPU and fetching the dataset do not. A limit that is reached before the "
        "first step leaves no checkpoint.",
    )
    until: Moment | None = Field(
        default=None,
        description="The moment at which it ends, also while it waits; RFC 3339, e.g. `2026-01-31T23:00:00+01:00`.",
    )

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if self.duration_s is None and self.until is None:
            raise ValueError("give duration_s, until or both")
        return self
