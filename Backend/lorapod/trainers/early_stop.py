"""The end of a training that no longer gets better, judged by a curve: the validation loss, or the likeness of its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from lorapod.clock import Clock
from lorapod.errors import Unsupported
from lorapod.processes.order import TrainingOrder
from lorapod.processes.run import Run
from lorapod.trainers.kept_checkpoints import checkpoints_needed, kept
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.validation_loss import ValidationLoss, steps_between_looks
from lorapod.volume.loss_log import FILE_NAME
from lorapod.wire.stop_when import StopMeasure

#: Between two looks at a curve, in seconds.
LOOK_S = 5.0


class Measure(Protocol):
    """What a training is judged by, while one run of it goes on; for the supervisor's thread."""

    #: As a sentence names it.
    name: str
    #: Whether larger values are better.
    more_is_better: bool

    def curve(self) -> Sequence[tuple[int, float]]:
        """Return all values by step, those of earlier runs included; called every few seconds, so it returns at once."""

    def warnings(self) -> Sequence[str]:
        """Return what a person should know that was not returned before."""

    def close(self) -> None:
        """End what was started for it."""


class LikenessSource(Protocol):
    """What measures the likeness of samples; it is above the trainers, and given to them."""

    def check(self, order: TrainingOrder, plan: TrainingPlan) -> int:
        """Return the steps between two looks.

        Raises:
            WorkerError: the training draws nothing that could be measured, or no model measures it.
        """

    def must_fetch(self, order: TrainingOrder) -> bool:
        """Return whether its model has to be downloaded first."""

    def fetch(self, order: TrainingOrder, run: Run) -> None:
        """Download its model; return early if the process is stopped.

        Raises:
            WorkerError: it could not be downloaded.
            LeaseLost: another worker has taken the process up.
            OSError: the disk failed.
        """

    def open(self, order: TrainingOrder, plan: TrainingPlan, run: Run, *, launched_at: float) -> Measure:
        """Begin to measure a run whose child was launched then, in seconds since the epoch."""


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
    more_is_better: bool = False,
    min_improvement: float = 0.0,
    from_step: int = 0,
    since_step: int = 0,
) -> Judgement | None:
    """Return the best point of a curve, and how many came after it; None before the first.

    A point counts as better only if it is better than the best by more than `min_improvement` of it. Points up to
    `since_step` can be the best, but are not counted.
    """
    found: Judgement | None = None
    sign = 1 if more_is_better else -1
    for step, value in curve:
        if step < from_step:
            continue
        if found is None or sign * (value - found.best) > min_improvement * abs(found.best):
            found = Judgement(best_step=step, best=value, looks=0)
        else:
            looks = found.looks + int(step > since_step)
            found = Judgement(best_step=found.best_step, best=found.best, looks=looks)
    return found


class EarlyStop:
    """Watches the measure of one run; for one thread."""

    def __init__(
        self,
        measure: Measure,
        clock: Clock,
        *,
        patience: int,
        min_improvement: float,
        from_step: int,
        since_step: int,
    ) -> None:
        """Look at nothing yet."""
        self._measure = measure
        self._clock = clock
        self._patience = patience
        self._min_improvement = min_improvement
        self._from_step = from_step
        self._since_step = since_step
        self._due_s = 0.0
        #: When it was seen to be over.
        self._over_s: float | None = None
        #: What was found last.
        self.found: Judgement | None = None

    @classmethod
    def of(cls, order: TrainingOrder, measure: Measure, clock: Clock, *, since_step: int) -> Self:
        """Return the watch that the order asks for.

        `since_step` is the step from which a person had it go on: the looks before it do not end it again.
        """
        wanted = order.stop_when or {}
        return cls(
            measure,
            clock,
            patience=wanted["patience"],
            min_improvement=wanted["min_improvement"],
            from_step=wanted["from_step"],
            since_step=since_step,
        )

    def over(self) -> bool:
        """Return whether there were enough looks without improvement; looks every few seconds."""
        now_s = self._clock.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + LOOK_S
            self.found = judged(
                self._measure.curve(),
                more_is_better=self._measure.more_is_better,
                min_improvement=self._min_improvement,
                from_step=self._from_step,
                since_step=self._since_step,
            )
            is_over = self.found is not None and self.found.looks >= self._patience
            self._over_s = (self._over_s or now_s) if is_over else None
        return self._over_s is not None

    @property
    def over_for_s(self) -> float:
        """Seconds since it was seen to be over."""
        return 0.0 if self._over_s is None else self._clock.monotonic() - self._over_s

    def warnings(self) -> Sequence[str]:
        """Return what a person should know of the measure that was not returned before."""
        return self._measure.warnings()

    def why(self) -> str:
        """Return in one sentence why it is over."""
        found = self.found
        assert found is not None, "there is a best look once it is over"
        looks = "look" if found.looks == 1 else "looks"
        return (
            f"The {self._measure.name} was best at step {found.best_step} ({found.best:.4g}); the {found.looks} {looks} "
            "since then were no better."
        )

    def close(self) -> None:
        """End what was started for its measure."""
        self._measure.close()


def measured_by_likeness(order: TrainingOrder) -> bool:
    """Return whether the order asks for an early stop by likeness."""
    return order.stop_when is not None and order.stop_when["no_better"] == StopMeasure.LIKENESS


def check_stop_when(
    order: TrainingOrder, plan: TrainingPlan, likeness: LikenessSource | None
) -> Sequence[str]:
    """Refuse an early stop for which nothing is measured; return warnings.

    Raises:
        WorkerError: what is missing.
    """
    if order.stop_when is None:
        return ()
    if not measured_by_likeness(order):
        every = steps_between_looks(order, plan.config)
    elif likeness is not None:
        every = likeness.check(order, plan)
    else:
        raise Unsupported("stop_when: this worker cannot measure the likeness of samples.")
    # One that never ends it deletes nothing too early.
    return _too_patient(order.stop_when, plan.total_steps, every) or _best_is_deleted(
        order.stop_when, plan.config, every
    )


def open_measure(
    order: TrainingOrder,
    plan: TrainingPlan,
    run: Run,
    likeness: LikenessSource | None,
    *,
    launched_at: float,
) -> Measure | None:
    """Return what the order's early stop is judged by; None if it has none."""
    if order.stop_when is None:
        return None
    if not measured_by_likeness(order):
        return ValidationLoss(plan.run_folder / FILE_NAME)
    assert likeness is not None, "the plan was refused without it"
    return likeness.open(order, plan, run, launched_at=launched_at)


def _best_is_deleted(wanted: Mapping[str, Any], config: Mapping[str, Any], every: int) -> Sequence[str]:
    match config:
        case {"config": {"process": [{"save": dict(save)}, *_]}}:
            needed = checkpoints_needed(save, every=every, patience=wanted["patience"])
            if kept(save) < needed:
                said = f"`max_step_saves_to_keep` is {kept(save)}, and {needed} are needed"
                return [f"The checkpoint of the best look may be deleted before stop_when ends it: {said}."]
    return ()


def _too_patient(wanted: Mapping[str, Any], total_steps: int, every: int) -> Sequence[str]:
    first = max(wanted["from_step"], every)
    looks = max(0, (total_steps - first) // every + 1)
    # One of them is the best.
    if looks > wanted["patience"]:
        return ()
    counted = "1 look" if looks == 1 else f"{looks} looks"
    said = f"it has {counted} in its {total_steps} steps, one every {every}, and `patience` is {wanted['patience']}"
    return [f"stop_when cannot end this training: {said}."]
