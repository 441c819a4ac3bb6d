"""When a training ends because it no longer gets better."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from lorapod.wire.model import WireModel


class StopMeasure(StrEnum):
    """What a training is judged by."""

    VALIDATION_LOSS = "validation_loss"
    LIKENESS = "likeness"


class StopWhen(WireModel):
    """End a training, with a checkpoint, once a measure has not improved for some looks in a row."""

    no_better: StopMeasure = Field(
        default=StopMeasure.VALIDATION_LOSS,
        description="The measure. `validation_loss`: the loss of images that are held back, so `validation` must be set too. "
        "`likeness`: how like the dataset the training's own samples are, as `compare` scores it; each set of samples is a look.",
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
    embedding_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=300,
        description="For `likeness`: the model that compares images, a HuggingFace id or a folder in the workspace; without it "
        "the one that EMBEDDING_MODEL names, or facebook/dinov2-base if it is on the worker.",
    )

    @model_validator(mode="after")
    def _a_model_measures_likeness(self) -> Self:
        if self.embedding_model is not None and self.no_better is not StopMeasure.LIKENESS:
            raise ValueError("embedding_model goes with no_better: likeness")
        return self
