"""What a comparison was asked to do, as its order stores it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import TypeAdapter

#: Every checkpoint of a training.
ALL = "all"
#: The newest checkpoints of a training: `last:4`.
LAST = re.compile(r"last:(?P<count>[1-9]\d{0,3})")

#: `all`, `last:4`, or the steps themselves.
Steps = str | Sequence[int]


@dataclass(frozen=True, kw_only=True)
class ComparedLora:
    """One entry of a request: a training, or a LoRA file."""

    process_id: str | None = None
    path: str | None = None
    #: Which checkpoints of the training; None: as the order says for all.
    steps: Steps | None = None


@dataclass(frozen=True, kw_only=True)
class ComparisonOrder:
    """One comparison; None: the training's own, or the engine's."""

    loras: Sequence[ComparedLora]
    steps: Steps = ALL
    prompts: Sequence[str] | None = None
    weights: Sequence[float] = (1.0,)
    seeds: Sequence[int] | None = None
    model: str | None = None
    engine: str | None = None
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    #: Denoising steps of each image.
    sample_steps: int | None = None
    guidance_scale: float | None = None
    #: The engine's own parameters.
    params: Mapping[str, Any] = field(default_factory=dict)
    score: bool = True
    #: Compares images, for the scores.
    embedding_model: str | None = None
    #: Compares images with texts, for the scores.
    text_image_model: str | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Read the JSON values of a process's order."""
        return TypeAdapter(cls).validate_python(dict(stored))
