"""How long a training takes on a machine without a GPU: multiply-adds by steps, divided by what processor cores do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lorapod.trainers.fit.memory import batch_pixels
from lorapod.trainers.fit.sizes import size_of

#: Multiply-adds in a second of one core, in 32 bits: half of what a core with AVX2 can do at most.
CORE_SPEED: Final = 20e9

#: Pixels of a transformer's token; each parameter is multiplied once for each token.
_PIXELS_OF_A_TOKEN: Final = 256

#: Passes of one step, each as long as the forward one: forward, its repetition, and backward to the activations, twice.
_PASSES: Final = 4


def cpu_duration_s(process: Mapping[str, Any], cores: int) -> float | None:
    """Return the seconds that a config's steps take on `cores`; None if the size of its model is not known."""
    operations, steps = multiply_adds(process), _train(process).get("steps", 1000)
    if operations is None or not isinstance(steps, int):
        return None
    return operations * steps / (CORE_SPEED * max(cores, 1))


def multiply_adds(process: Mapping[str, Any]) -> float | None:
    """Return the multiply-adds of one step of a config's process; None if the size of its model is not known."""
    model, train = process.get("model"), _train(process)
    size = size_of(model) if isinstance(model, Mapping) else None
    batches = train.get("gradient_accumulation", 1)
    if size is None or not isinstance(batches, int):
        return None
    forward = size.parameters / _PIXELS_OF_A_TOKEN if size.forward is None else size.forward
    return forward * 1e6 * batch_pixels(process, train, size) * batches * _PASSES


def _train(process: Mapping[str, Any]) -> Mapping[str, Any]:
    train = process.get("train")
    return train if isinstance(train, Mapping) else {}


def spoken(duration_s: float) -> str:
    """Return a duration as a person says it: minutes, hours or days."""
    for unit, length in (("days", 86_400.0), ("hours", 3600.0)):
        if duration_s >= 2 * length:
            return f"{duration_s / length:.0f} {unit}"
    return f"{max(1.0, duration_s / 60):.0f} minutes"
