"""What a training draws its samples with: the defaults of its comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lorapod.errors import NotFound
from lorapod.processes.order import TrainingOrder, read_order
from lorapod.processes.store.port import OrderStore
from lorapod.trainers.prompt_flags import sample_prompts


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """What its config says; None: nothing."""

    prompts: Sequence[str] = field(default=())
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    #: Denoising steps.
    sample_steps: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None


def sample_settings(orders: OrderStore, process_id: str) -> SampleSettings:
    """Return the sample settings of a training; empty if its order is gone."""
    try:
        order = read_order(TrainingOrder, orders, process_id)
    except NotFound:
        return SampleSettings()
    match order.config:
        case {"config": {"process": [{"sample": dict(sample)}, *_]}}:
            return _settings(sample, sample_prompts(order.config))
    return SampleSettings()


def _settings(sample: Mapping[str, Any], prompts: Sequence[str]) -> SampleSettings:
    negative = sample.get("neg")
    return SampleSettings(
        prompts=list(dict.fromkeys(prompt for prompt in prompts if prompt.strip())),
        negative_prompt=negative if isinstance(negative, str) and negative else None,
        width=_number(sample.get("width")),
        height=_number(sample.get("height")),
        sample_steps=_number(sample.get("sample_steps")),
        guidance_scale=_scale(sample.get("guidance_scale")),
        seed=_number(sample.get("seed")),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _scale(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
