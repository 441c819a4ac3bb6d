"""How long trainings take: one, corrected while it runs, or several, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lorapod.processes.forecast import Basis, Estimate, Forecast
from lorapod.processes.record import ProcessRecord
from lorapod.processes.status import ProcessStatus

_WAITS: Final = frozenset({ProcessStatus.QUEUED, ProcessStatus.PREPARING})

#: The surest first.
_ORDER: Final = tuple(Basis)


def estimate_of(record: ProcessRecord) -> Estimate | None:
    """Return how long a training takes in all, by what is known now; None if nothing was expected of it."""
    training, total = record.training, record.progress.total_steps
    if training is None or training.forecast is None or not total:
        return None
    left = 0 if record.status is ProcessStatus.COMPLETED else total - record.progress.step
    return training.forecast.estimate(
        left, ran_s=training.ran_s, running=record.status not in _WAITS and training.ran_s > 0
    )


def together(parts: Sequence[tuple[Forecast, int]]) -> Estimate:
    """Return the estimate of trainings that run one after another, each with its steps; unknown if one of them is."""
    each = [forecast.estimate(steps) for forecast, steps in parts]
    needs = [one.gpu_memory_bytes for one in each if one.gpu_memory_bytes is not None]
    memory_bytes = max(needs) if needs and len(needs) == len(each) else None
    if unknown := [one for one in each if one.duration_s is None]:
        return Estimate(gpu_memory_bytes=memory_bytes, explanation=unknown[0].explanation)
    weakest = max(each, key=lambda one: 0 if one.basis is None else _ORDER.index(one.basis))
    training_s = sum(steps / forecast.steps_per_s for forecast, steps in parts if forecast.steps_per_s)
    return Estimate(
        duration_s=round(sum(one.duration_s or 0.0 for one in each), 1),
        steps_per_s=sum(steps for _, steps in parts) / training_s if training_s else None,
        basis=weakest.basis,
        gpu_memory_bytes=memory_bytes,
        explanation=weakest.explanation,
    )
