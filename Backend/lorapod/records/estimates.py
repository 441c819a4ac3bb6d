"""How long trainings take: one, corrected while it runs, or several, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from lorapod.records.forecast import Basis, Estimate
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus

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


def estimate_of_all(records: Sequence[ProcessRecord]) -> Estimate | None:
    """Return how long trainings take together, one after another; those that have ended take no longer than they did."""
    parts: list[tuple[Estimate, int]] = []
    for record in records:
        estimate, training = estimate_of(record), record.training
        if estimate is None or training is None:
            return None
        if record.status.final:
            estimate = replace(estimate, duration_s=training.ran_s)
        parts.append((estimate, record.progress.total_steps or 0))
    return together(parts) if parts else None


def together(parts: Sequence[tuple[Estimate, int]]) -> Estimate:
    """Return the estimate of trainings that run one after another, each with its steps; unknown if one of them is."""
    each = [estimate for estimate, _ in parts]
    needs = [one.gpu_memory_bytes for one in each if one.gpu_memory_bytes is not None]
    memory_bytes = max(needs) if needs and len(needs) == len(each) else None
    names = {one.gpu for one in each}
    gpu = names.pop() if len(names) == 1 else None
    if unknown := [one for one in each if one.duration_s is None]:
        return Estimate(gpu_memory_bytes=memory_bytes, gpu=gpu, explanation=unknown[0].explanation)
    weakest = max(each, key=lambda one: 0 if one.basis is None else _ORDER.index(one.basis))
    training_s = sum(steps / one.steps_per_s for one, steps in parts if one.steps_per_s)
    return Estimate(
        duration_s=round(sum(one.duration_s or 0.0 for one in each), 1),
        steps_per_s=sum(steps for one, steps in parts if one.steps_per_s) / training_s
        if training_s
        else None,
        basis=weakest.basis,
        gpu_memory_bytes=memory_bytes,
        gpu=gpu,
        explanation=weakest.explanation,
    )
