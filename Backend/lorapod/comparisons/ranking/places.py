"""Which of several candidates are better than others, and which cannot be told apart: a bootstrap over prompts and seeds."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Resamples of the prompts and seeds.
RESAMPLES = 1000
#: The same comparison gets the same ranking.
_SEED = 20_17
#: How sure a difference has to be, over all pairs together.
CONFIDENCE = 0.95
#: With fewer images of each candidate, resampling says nothing.
IMAGES_MIN = 4
#: Differences below are rounding.
_ROUNDING = 1e-6

#: One image of each candidate: its prompt and its seed.
Block = tuple[str, int]
#: The values of one part of a score: a row for each candidate, a value for each block; None: it has none there.
Part = Sequence[Sequence[float | None]]


@dataclass(frozen=True, kw_only=True)
class Places:
    """The candidates' scores, and how large a difference must be to mean something."""

    scores: Sequence[float]
    #: A smaller difference between two candidates is a tie; None: there are too few images to tell anything apart.
    margin: float | None

    def better(self, one: int, other: int) -> bool:
        """Return whether `one` is better than `other` beyond what prompts and seeds vary."""
        return self.margin is not None and self.scores[one] - self.scores[other] > self.margin

    def place(self, one: int) -> int:
        """Return 1 and the number of candidates that are better; several may share a place."""
        return 1 + sum(self.better(other, one) for other in range(len(self.scores)))

    def tied_with(self, one: int) -> Sequence[int]:
        """Return the candidates that are neither better nor worse."""
        return [
            other
            for other in range(len(self.scores))
            if other != one and not self.better(other, one) and not self.better(one, other)
        ]

    @property
    def all_tied(self) -> bool:
        """Return whether no candidate is better than another."""
        return not any(self.place(one) > 1 for one in range(len(self.scores)))


def find_places(blocks: Sequence[Block], parts: Mapping[str, Part], weights: Mapping[str, float]) -> Places:
    """Return the places of the candidates.

    A candidate's score is the weighted sum of the means of its parts. Prompts are drawn with replacement, and of each the
    seeds; all candidates get the same, so that what a prompt does to all of them is no difference. The margin is the
    range that the candidates' errors have in 95 of 100 resamples: it holds for all pairs at once, also for the best of many.

    Args:
        blocks: the images of each candidate; every candidate has the same.
        parts: by name; a value is None for the same blocks in every row.
        weights: of the parts.
    """
    count = len(next(iter(parts.values())))
    used = {name: part for name, part in parts.items() if weights.get(name)}
    scores = _scores(used, weights, [1] * len(blocks), count)
    by_prompt: dict[str, list[int]] = {}
    for number, (prompt, _) in enumerate(blocks):
        by_prompt.setdefault(prompt, []).append(number)
    groups = list(by_prompt.values())
    if len(blocks) < IMAGES_MIN or count < 2:
        return Places(scores=scores, margin=None)
    source = random.Random(_SEED)  # noqa: S311 - a resample, no secret
    ranges = sorted(
        _range(_scores(used, weights, _resample(groups, len(blocks), source), count), scores)
        for _ in range(RESAMPLES)
    )
    units = len(groups) if len(groups) >= IMAGES_MIN else len(blocks)
    margin = ranges[int(CONFIDENCE * RESAMPLES)] * _few(units)
    return Places(scores=scores, margin=margin + _ROUNDING)


def _few(units: int) -> float:
    """Return by how much resamples of few images vary too little."""
    return math.sqrt(units / (units - 1)) * (1 + 3 / units)


def _resample(groups: Sequence[Sequence[int]], count: int, source: random.Random) -> Sequence[int]:
    """Return how often each block is drawn."""
    drawn = [0] * count
    if len(groups) < IMAGES_MIN:
        # Too few prompts to stand for others: the images are drawn as they are.
        for _ in range(count):
            drawn[source.randrange(count)] += 1
        return drawn
    for _ in groups:
        group = groups[source.randrange(len(groups))]
        for _ in group:
            drawn[group[source.randrange(len(group))]] += 1
    return drawn


def _scores(
    parts: Mapping[str, Part], weights: Mapping[str, float], drawn: Sequence[int], count: int
) -> Sequence[float]:
    scores = [0.0] * count
    for name, part in parts.items():
        weight = weights[name]
        for candidate, row in enumerate(part):
            times = total = 0.0
            for value, often in zip(row, drawn, strict=True):
                if often and value is not None:
                    times += often
                    total += often * value
            if times:
                scores[candidate] += weight * total / times
    return scores


def _range(resampled: Sequence[float], scores: Sequence[float]) -> float:
    errors = [new - score for new, score in zip(resampled, scores, strict=True)]
    return max(errors) - min(errors)
