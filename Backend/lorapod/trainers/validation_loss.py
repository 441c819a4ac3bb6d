"""The loss of images that are held back, as a measure of whether a training still gets better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.errors import InvalidInput
from lorapod.processes.order import TrainingOrder
from lorapod.volume.loss_log import read_series

#: The curve that both trainers write.
KEY = "val/loss"


class ValidationLoss:
    """A `lorapod.trainers.early_stop.Measure`."""

    name = "validation loss"
    more_is_better = False

    def __init__(self, log: Path) -> None:
        """Read the trainer's own log."""
        self._log = log

    def curve(self) -> Sequence[tuple[int, float]]:
        """Return what the trainer has logged; copies the log."""
        return read_series(self._log, keys=[KEY]).get(KEY, [])

    def warnings(self) -> Sequence[str]:
        """Return nothing: the trainer measures it."""
        return ()

    def close(self) -> None:
        """Do nothing."""


def steps_between_looks(order: TrainingOrder, config: Mapping[str, Any]) -> int:
    """Return how often images that are held back are looked at.

    Raises:
        InvalidInput: none are held back.
    """
    if order.validation is not None:
        return int(order.validation["every"])
    match config:
        case {"config": {"process": [{"train": {"validation_config": dict(wanted)}}, *_]}}:
            every = wanted.get("validate_every_n_steps")
            return every if isinstance(every, int) and every > 0 else 1
    raise InvalidInput(
        "stop_when: no images are held back, so there is no validation loss to compare.",
        hint="Send `validation: true` too.",
        details=[{"field": "stop_when", "error": "goes with validation"}],
    )
