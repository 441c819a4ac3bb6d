"""The settings of a training that people compare, as answers show them."""

from __future__ import annotations

from pydantic import Field

from lorapod.wire.model import WireModel


class TrainingSettings(WireModel):
    """What decides the result of a training; the whole is in its config."""

    learning_rate: float | None = Field(default=None, description="Learning rate of the config.")
    rank: int | None = Field(default=None, description="Rank of the LoRA.")
    alpha: float | None = Field(default=None, description="Alpha of the LoRA.")
    batch_size: int | None = Field(default=None, description="Images in one batch.")
    resolution: list[int] = Field(default=[], description="Sides of its images in pixels.")
    optimizer: str | None = Field(default=None, description="Its optimizer, as the trainer names it.")
    arch: str | None = Field(
        default=None, description="Architecture of the base model, as the trainer names it."
    )
