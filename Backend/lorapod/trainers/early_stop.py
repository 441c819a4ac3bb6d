"""The end of a training that no longer gets better, judged by the loss of images that are held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lorapod.clock import Clock
from lorapod.errors import InvalidInput
from lorapod.processes.order import TrainingOrder
from lorapod.trainers.port import TrainingPlan
from lorapod.volume.loss_log import FILE_NAME, read_series

#: The curve that both trainers write.
KEY = "val/loss"

#: Between two looks at the loss log, which is copied for each, in seconds.
LOOK_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a curve says."""

    best_step: int
    best: float
    #: Looks since then that were no better.
    looks: int


def judged(
    curve: Sequence[tuple[int, float]],
    *,
    min_improvement: float = 0.0,
    from_step: int = 0,
    since_step: int = 0,
) -> Judgement | None:
    """Return the best point of a curve of losses, and how many came after it; None before the first.

    A point counts as better only if it is smaller than the best by more than `min_improvement` of it. Points up to
    `since_step` can be the best, but are not counted.
    """
    found: Judgement | None = None
    for step, loss in curve:
        if step < from_step:
            continue
        if found is None or loss < found.best * (1 - min_improvement):
            found = Judgement(best_step=step, best=loss, looks=0)
        else:
            looks = found.looks + int(step > since_step)
            found = Judgement(best_step=found.best_step, best=found.best, looks=looks)
    return found


class EarlyStop:
    """Watches the validation loss of one run; for one thread."""

    def __init__(
        self,
        log: Path,
        clock: Clock,
        *,
        patience: int,
        min_improvement: float,
        from_step: int,
        since_step: int,
    ) -> None:
        """Look at nothing yet."""
        self._log = log
        self._clock = clock
        self._patience = patience
        self._min_improvement = min_improvement
        self._from_step = from_step
        self._since_step = since_step
        self._due_s = 0.0
        #: What was found last.
        self.found: Judgement | None = None

    @classmethod
    def of(cls, order: TrainingOrder, plan: TrainingPlan, clock: Clock, *, since_step: int) -> Self | None:
        """Return the watch that the order asks for; None if it asks for none.

        `since_step` is the step from which a person had it go on: the looks before it do not end it again.
        """
        if order.stop_when is None:
            return None
        wanted = order.stop_when
        return cls(
            plan.run_folder / FILE_NAME,
            clock,
            patience=wanted["patience"],
            min_improvement=wanted["min_improvement"],
            from_step=wanted["from_step"],
            since_step=since_step,
        )

    def over(self) -> bool:
        """Return whether there were enough looks without improvement; reads the log every few seconds."""
        if self._clock.monotonic() < self._due_s:
            return False
        self._due_s = self._clock.monotonic() + LOOK_S
        curve = read_series(self._log, keys=[KEY]).get(KEY, [])
        self.found = judged(
            curve,
            min_improvement=self._min_improvement,
            from_step=self._from_step,
            since_step=self._since_step,
        )
        return self.found is not None and self.found.looks >= self._patience


def check_stop_when(order: TrainingOrder, config: Mapping[str, Any]) -> None:
    """Refuse an early stop for which nothing is measured.

    Raises:
        InvalidInput: no images are held back.
    """
    if order.stop_when is None or order.validation is not None:
        return
    match config:
        case {"config": {"process": [{"train": {"validation_config": dict()}}, *_]}}:
            return
    raise InvalidInput(
        "stop_when: no images are held back, so there is no validation loss to judge by.",
        hint="Send `validation: true` too.",
        details=[{"field": "stop_when", "error": "goes with validation"}],
    )
