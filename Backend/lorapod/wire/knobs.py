"""The few values of a training that most callers want to set themselves."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from lorapod.wire.model import WireModel

#: Edge of a training image in pixels; the models' latents have an eighth of it.
Resolution = Annotated[int, Field(strict=True, ge=64, le=4096, multiple_of=8)]


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text):
        raise ValueError("must be one line, without control characters")
    return text


#: One line of text; letters of any script.
Line = Annotated[str, StringConstraints(strict=True, min_length=1), AfterValidator(_one_line)]
PromptText = Annotated[Line, StringConstraints(max_length=4000)]
TriggerWord = Annotated[Line, StringConstraints(max_length=100)]
ModelName = Annotated[Line, StringConstraints(max_length=1000)]


class Optimizer(StrEnum):
    """Optimizers that the trainers know; `builtin` has fewer and says so."""

    ADAM = "adam"
    ADAM_8BIT = "adam8bit"
    ADAMW = "adamw"
    ADAMW_8BIT = "adamw8bit"
    ADAFACTOR = "adafactor"
    ADAGRAD = "adagrad"
    AUTOMAGIC = "automagic"
    LION = "lion"
    LION_8BIT = "lion8bit"
    PRODIGY = "prodigy"
    PRODIGY_8BIT = "prodigy8bit"


class TrainKnobs(WireModel):
    """Changes to a preset; what is left out stays as the preset has it."""

    tier: Annotated[Line, StringConstraints(max_length=40)] | None = Field(
        default=None,
        description="The preset's settings for GPUs of this size, e.g. `24gb`; the default is the largest that fits the GPU.",
    )
    steps: int | None = Field(
        default=None, strict=True, ge=1, le=1_000_000, description="Optimizer steps in all.", examples=[2000]
    )
    learning_rate: float | None = Field(
        default=None, strict=True, gt=0, le=1, allow_inf_nan=False, description="Learning rate, e.g. 0.0001."
    )
    rank: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=1024,
        description="Rank of the LoRA; its alpha is set to the same number.",
    )
    resolution: Resolution | Annotated[list[Resolution], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Edge of the training images in pixels, a multiple of 8; several make buckets of several sizes.",
    )
    batch_size: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=1024,
        description="Images in one step; more need more GPU memory.",
    )
    trigger_word: TriggerWord | None = Field(
        default=None,
        description="The word that will call the trained subject; it is added to captions that lack it.",
    )
    sample_prompts: Annotated[list[PromptText], Field(max_length=64)] | None = Field(
        default=None, description="Prompts of the sample images; an empty list turns samples off."
    )
    sample_every: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=1_000_000,
        description="Steps between two rounds of sample images.",
    )
    save_every: int | None = Field(
        default=None, strict=True, ge=1, le=1_000_000, description="Steps between two checkpoints."
    )
    seed: int | None = Field(
        default=None, strict=True, ge=0, lt=1 << 32, description="Seed of the training and of its samples."
    )
    model: ModelName | None = Field(
        default=None,
        description="Base model in place of the preset's: a hub id, or a path below the workspace.",
    )
    optimizer: Optimizer | None = Field(default=None, description="Optimizer in place of the preset's.")
