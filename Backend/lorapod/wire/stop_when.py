"""When a training ends because it no longer gets better."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lorapod.wire.model import WireModel


class StopWhen(WireModel):
    """End a training, with a checkpoint, once a measure has not improved for some looks in a row."""

    no_better: Literal["validation_loss"] = Field(
        default="validation_loss",
        description="The measure: the loss of images that are held back, so `validation` must be set too.",
    )
    patience: int = Field(
        default=3,
        strict=True,
        ge=1,
        le=1000,
        description="Looks in a row that may be no better than the best.",
    )
    min_improvement: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the best value by which a look must be better to count, e.g. 0.01.",
    )
    from_step: int = Field(
        default=0, strict=True, ge=0, le=1_000_000, description="Looks before this step do not count."
    )
