"""What a caller should know of a training that goes on for more steps than it was begun with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lorapod.trainers.checkpoints import OPTIMIZER_NAME
from lorapod.trainers.port import TrainingPlan

#: Schedules whose learning rate does not depend on the total of the steps.
_STEADY = frozenset({"constant", "constant_with_warmup"})


def continuation_warnings(plan: TrainingPlan) -> Sequence[str]:
    """Return what changes for the training beside its length, one sentence each."""
    warnings = []
    scheduler = _scheduler(plan.config)
    if scheduler is not None and scheduler not in _STEADY:
        warnings.append(
            f"The learning rate follows the schedule {scheduler!r} over all {plan.total_steps} steps now, so it is higher "
            "than at the end of the last run."
        )
    if not (plan.run_folder / OPTIMIZER_NAME).exists():
        warnings.append(
            "The optimizer's state is gone, so the optimizer starts afresh on the trained weights."
        )
    return warnings


def _scheduler(config: Any) -> str | None:
    match config:
        case {"config": {"process": [{"train": {"lr_scheduler": str(scheduler)}}]}}:
            return scheduler
    return None
