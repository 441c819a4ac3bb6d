"""Which of several candidates are better than others, and which cannot be told apart: a bootstrap over prompts."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

#: Resamples of the prompts; fewer if there are so many pairs that they would take minutes.
RESAMPLES = 1000
_RESAMPLES_MIN = 200
_PAIR_RESAMPLES_MAX = 2_000_000
#: The same comparison gets the same ranking.
_SEED = 20_17
#: How sure a difference has to be, over all pairs together.
CONFIDENCE = 0.95
#: With fewer images of each candidate, resampling says nothing.
IMAGES_MIN = 4
#: How much a pair's variance is that of all pairs. Simulated with normal errors, equal candidates are then told apart in
#: 2 to 5 of 100 comparisons; with none of it, in up to 20.
_USUAL_SHARE = 0.5
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
    #: By two candidates: a smaller difference is a tie; None: there are too few images to tell anything apart.
    margins: Mapping[tuple[int, int], float] | None

    def better(self, one: int, other: int) -> bool:
        """Return whether `one` is better than `other` beyond what prompts and seeds vary."""
        if self.margins is None or one == other:
            return False
        return self.scores[one] - self.scores[other] > self.margins[min(one, other), max(one, other)]

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


def find_places(
    blocks: Sequence[Block],
    parts: Mapping[str, Part],
    weights: Mapping[str, float],
    *,
    confidence: float = CONFIDENCE,
) -> Places:
    """Return the places of the candidates.

    A candidate's score is the weighted sum of the means of its parts. Prompts are drawn with replacement, each with all its
    seeds; all candidates get the same, so that what a prompt does to all of them is no difference. Each pair of candidates
    has a margin in proportion to what its difference varies. The factor is such that with `confidence` no pair of equal
    candidates is told apart: it holds for all pairs at once, also for the best of many.

    Args:
        blocks: the images of each candidate; every candidate has the same.
        parts: by name; a value is None for the same blocks in every row.
        weights: of the parts.
        confidence: how sure a difference has to be, over all pairs together.
    """
    count = len(next(iter(parts.values())))
    groups = _groups(blocks)
    used = [_Sums.of(part, groups, weights[name]) for name, part in parts.items() if weights.get(name)]
    scores = _scores(used, range(len(groups)), count)
    if len(blocks) < IMAGES_MIN or count < 2:
        return Places(scores=scores, margins=None)
    pairs = list(combinations(range(count), 2))
    source = random.Random(_SEED)  # noqa: S311 - a resample, no secret
    resampled = [
        _scores(used, source.choices(range(len(groups)), k=len(groups)), count)
        for _ in range(max(_RESAMPLES_MIN, min(RESAMPLES, _PAIR_RESAMPLES_MAX // len(pairs))))
    ]
    errors = [[new - score for new, score in zip(one, scores, strict=True)] for one in resampled]
    return Places(scores=scores, margins=_margins(errors, pairs, units=len(groups), confidence=confidence))


def _margins(
    errors: Sequence[Sequence[float]],
    pairs: Sequence[tuple[int, int]],
    *,
    units: int,
    confidence: float,
) -> Mapping[tuple[int, int], float]:
    """Return the margin of each pair of candidates, from the errors of each resample."""
    variances = [fmean((one[a] - one[b]) ** 2 for one in errors) for a, b in pairs]
    # A variance of few images is itself a guess: it is drawn a part of the way to that of all pairs.
    logarithms = [math.log(variance + _ROUNDING**2) for variance in variances]
    usual = _USUAL_SHARE * fmean(logarithms)
    deviations = [math.exp(((1 - _USUAL_SHARE) * one + usual) / 2) for one in logarithms]
    largest = sorted(
        max(abs(one[a] - one[b]) / deviation for (a, b), deviation in zip(pairs, deviations, strict=True))
        for one in errors
    )
    factor = largest[int(confidence * len(largest))] * _few(units)
    return {pair: factor * deviation + _ROUNDING for pair, deviation in zip(pairs, deviations, strict=True)}


def _few(units: int) -> float:
    """Return by how much resamples of few images vary too little."""
    return math.sqrt(units / (units - 1)) * (1 + 3 / units)


def _groups(blocks: Sequence[Block]) -> Sequence[Sequence[int]]:
    """Return the blocks that are drawn together: those of a prompt, or each alone if there are too few prompts."""
    by_prompt: dict[str, list[int]] = {}
    for number, (prompt, _) in enumerate(blocks):
        by_prompt.setdefault(prompt, []).append(number)
    if len(by_prompt) < IMAGES_MIN:
        return [[number] for number in range(len(blocks))]
    return list(by_prompt.values())


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """One part, added up by groups."""

    weight: float
    #: Values of each group, and their sums for each candidate.
    counts: Sequence[int]
    sums: Sequence[Sequence[float]]
    #: The mean of each candidate.
    means: Sequence[float]

    @classmethod
    def of(cls, part: Part, groups: Sequence[Sequence[int]], weight: float) -> _Sums:
        counts = [sum(part[0][block] is not None for block in group) for group in groups]
        sums = [[sum(row[block] or 0.0 for block in group) for group in groups] for row in part]
        total = sum(counts)
        means = [sum(row) / total if total else 0.0 for row in sums]
        return cls(weight=weight, counts=counts, sums=sums, means=means)


def _scores(parts: Sequence[_Sums], drawn: Sequence[int], count: int) -> Sequence[float]:
    scores = [0.0] * count
    for part in parts:
        total = sum(part.counts[group] for group in drawn)
        for candidate, row in enumerate(part.sums):
            # Without a drawn value, nothing new is known of the part.
            mean = sum(row[group] for group in drawn) / total if total else part.means[candidate]
            scores[candidate] += part.weight * mean
    return scores
