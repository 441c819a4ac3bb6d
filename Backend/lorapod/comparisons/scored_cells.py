"""From the scores of cells to the ranking of their LoRAs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from lorapod.comparisons.candidates import Candidate
from lorapod.comparisons.embedding.job import DatasetMeasures, EmbeddingAnswer
from lorapod.comparisons.measured_images import MeasuredImages
from lorapod.comparisons.ranking.places import Block
from lorapod.comparisons.ranking.shares import Scale, drift_share, scale_between
from lorapod.comparisons.ranking.standing import Entrant, Standing, rank
from lorapod.comparisons.scoring import DrawnCell

NO_DATASET = (
    "There is no ranking: the images that the LoRAs were trained on are gone or not known, and without likeness the least "
    "trained LoRA would always seem the best."
)
NOT_SEEN = "There is no ranking: the embedding model cannot tell the dataset from the base model's images of these prompts."

#: A LoRA with a weight.
Key = tuple[Candidate, float]


@dataclass(frozen=True, kw_only=True)
class RankedCells:
    """The ranking as answers show it."""

    ranking: Sequence[Mapping[str, Any]] = ()
    recommended: Mapping[str, Any]
    warnings: Sequence[str] = ()


def rank_cells(
    cells: Sequence[DrawnCell],
    measured: MeasuredImages,
    answer: EmbeddingAnswer,
    scores: Sequence[Mapping[str, float]],
) -> RankedCells:
    """Rank the LoRAs; the base model alone (weight 0) has no place."""
    if not any("likeness" in one for one in scores):
        return RankedCells(recommended={}, warnings=[NO_DATASET])
    likeness = [_likeness_scales(dataset) for dataset in answer.datasets]
    if any(one is None for one in likeness):
        return RankedCells(recommended={}, warnings=[NOT_SEEN])
    table = _Table(cells)
    used = [one.dataset for one in measured.cells]

    def likeness_of(number: int) -> float | None:
        dataset = used[number]
        scale = likeness[dataset] if dataset is not None else None
        return None if scale is None else scale.share(scores[number])

    def drift_of(number: int) -> float | None:
        drift = scores[number].get("drift")
        base = answer.datasets[used[number] or 0].base
        return None if drift is None else drift_share(drift, base)

    parts = {
        "likeness": table.part(likeness_of),
        "memorised": table.part(lambda number: scores[number].get("memorised")),
        "drift": table.part(drift_of),
    }
    fit = scale_between(answer.base_other, answer.base_matched)
    warnings = []
    if fit is not None:
        parts["prompt_fit"] = table.part(partial(_fit_share, fit, scores))
    elif any("prompt_fit" in one for one in scores):
        warnings.append(
            "The ranking does not count prompt_fit: the model cannot tell these prompts apart, or there are too few of them."
        )
    copied = {key: _copied(numbers.values(), answer) for key, numbers in table.numbers.items()}
    entrants = [
        Entrant(
            name=name,
            copied=copied[key],
            dataset_size=_dataset_size(table.numbers[key].values(), used, answer),
        )
        for key, name in zip(table.keys, _names(table.keys), strict=True)
    ]
    ranking = rank(entrants, table.blocks, parts)
    return RankedCells(
        ranking=[_ranked_view(table.keys[one.entrant], one) for one in ranking.standings],
        recommended=_view(table.keys[ranking.recommended]) if ranking.recommended is not None else {},
        warnings=[*warnings, *ranking.warnings],
    )


@dataclass(frozen=True, kw_only=True)
class _Likeness:
    #: By the score's name; at least one.
    scales: Mapping[str, Scale]

    def share(self, scores: Mapping[str, float]) -> float:
        return fmean(scale.share(scores[name]) for name, scale in self.scales.items())


def _likeness_scales(dataset: DatasetMeasures) -> _Likeness | None:
    # An image alone is as like itself as can be.
    found = {
        "likeness": scale_between(dataset.base, dataset.own or [1.0]),
        "likeness_nearest": scale_between(dataset.base_nearest, dataset.own_nearest or [1.0]),
    }
    scales = {name: scale for name, scale in found.items() if scale is not None}
    return _Likeness(scales=scales) if scales else None


class _Table:
    """The cells by LoRA and weight, and by prompt and seed."""

    def __init__(self, cells: Sequence[DrawnCell]) -> None:
        self.numbers: dict[Key, dict[Block, int]] = {}
        for number, one in enumerate(cells):
            if one.cell.weight:
                key = (one.cell.candidate, one.cell.weight)
                self.numbers.setdefault(key, {})[one.cell.prompt, one.cell.seed] = number
        self.keys: Sequence[Key] = list(self.numbers)
        self.blocks: Sequence[Block] = list(next(iter(self.numbers.values()), {}))

    def part(self, value: Callable[[int], float | None]) -> Sequence[Sequence[float | None]]:
        return [[value(self.numbers[key][block]) for block in self.blocks] for key in self.keys]


def _fit_share(scale: Scale, scores: Sequence[Mapping[str, float]], number: int) -> float | None:
    fit = scores[number].get("prompt_fit")
    return None if fit is None else scale.lead(fit)


def _copied(numbers: Iterable[int], answer: EmbeddingAnswer) -> int:
    """Return of how many images of the dataset there are near copies."""
    return len({answer.cells[number].copy_of for number in numbers} - {None})


def _dataset_size(numbers: Iterable[int], used: Sequence[int | None], answer: EmbeddingAnswer) -> int:
    """Return how many images of the dataset could be read; one alone is compared with none."""
    datasets = (used[number] for number in numbers)
    return next((len(answer.datasets[one].own) or 1 for one in datasets if one is not None), 0)


def _names(keys: Sequence[Key]) -> Sequence[str]:
    """Return what sentences call LoRAs: no more than tells them apart."""
    trainings = {candidate.process_id or candidate.path for candidate, _ in keys}
    weights = {weight for _, weight in keys}
    names = []
    for candidate, weight in keys:
        words = [] if candidate.step is not None and len(trainings) == 1 else [candidate.title]
        words += [] if candidate.step is None else [f"step {candidate.step}"]
        words += [] if len(weights) == 1 else [f"weight {weight:g}"]
        names.append(" ".join(words))
    return names


def _view(key: Key) -> Mapping[str, Any]:
    candidate, weight = key
    return {
        "process_id": candidate.process_id,
        "lora": candidate.path.name,
        "variant_label": candidate.variant or None,
        "step": candidate.step,
        "weight": weight,
    }


def _ranked_view(key: Key, standing: Standing) -> Mapping[str, Any]:
    return {
        **_view(key),
        "place": standing.place,
        "score": round(standing.score, 4),
        "reasons": list(standing.reasons),
    }
