"""How many checkpoints a training must keep so that the one of its best look is still there when an early stop ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Of AI Toolkit's config, if it does not say.
_USUAL_SAVE_EVERY = 1000
_USUAL_KEPT = 5


def checkpoints_needed(save: Mapping[str, Any], *, every: int, patience: int) -> int:
    """Return the number: the best one, those that follow it until the stop, and that of the stop.

    Args:
        save: the section `save` of a process.
        every: steps between two looks.
        patience: looks that may be no better.
    """
    save_every = save.get("save_every", _USUAL_SAVE_EVERY)
    if not isinstance(save_every, int) or save_every < 1:
        return 2
    return patience * every // save_every + 2


def kept(save: Mapping[str, Any]) -> int:
    """Return how many checkpoints a process keeps."""
    number = save.get("max_step_saves_to_keep", _USUAL_KEPT)
    return number if isinstance(number, int) else _USUAL_KEPT


def keep_enough(process: dict[str, Any], *, every: int, patience: int) -> None:
    """Have a preset's process keep enough checkpoints, but no more than it writes."""
    save = process["save"]
    most = process["train"]["steps"] // max(1, save["save_every"]) + 2
    needed = checkpoints_needed(save, every=every, patience=patience)
    save["max_step_saves_to_keep"] = max(kept(save), min(needed, most))
