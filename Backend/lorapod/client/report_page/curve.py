"""Curves of a training, thinned to what a page can hold and a person can see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

#: Most points of a curve on the page; a screen is hardly wider.
MOST_POINTS = 2000

#: A distance between two steps that is this many times the usual one is a gap: nothing was logged there.
_GAP = 4


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Values by step; if it was thinned, each value is the mean of several, between `low` and `high`."""

    steps: Sequence[int]
    #: None if no value was logged, for example because it was not a number.
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    #: How many of the values that were read one point stands for.
    merged: int = 1
    #: Of how many logged values one was read.
    stride: int = 1

    def data(self) -> dict[str, Any]:
        """Return it for the page's script."""
        return {
            "steps": list(self.steps),
            "values": [_rounded(value) for value in self.values],
            "low": [_rounded(value) for value in self.low],
            "high": [_rounded(value) for value in self.high],
            "merged": self.merged,
        }


def curve_of(points: Sequence[tuple[int, float]], *, most: int = MOST_POINTS, stride: int = 1) -> Curve:
    """Return the curve through points in order of their steps; values that are not finite are gaps."""
    merged = max(1, math.ceil(len(points) / most))
    steps: list[int] = []
    values: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for start in range(0, len(points), merged):
        bucket = points[start : start + merged]
        finite = [value for _, value in bucket if math.isfinite(value)]
        steps.append(bucket[len(bucket) // 2][0])
        values.append(math.fsum(finite) / len(finite) if finite else None)
        low.append(min(finite, default=None))
        high.append(max(finite, default=None))
    if merged == 1:
        low, high = [], []
    return _with_gaps(Curve(steps=steps, values=values, low=low, high=high, merged=merged, stride=stride))


def _with_gaps(curve: Curve) -> Curve:
    """Return the curve with an empty point wherever many more steps than usual lie between two points."""
    distances = [after - before for before, after in pairwise(curve.steps)]
    if not distances:
        return curve
    longest = _GAP * max(1.0, median(distances))
    places = [place for place, distance in enumerate(distances) if distance > longest]
    if not places:
        return curve
    steps = list(curve.steps)
    columns = [list(column) for column in (curve.values, curve.low, curve.high)]
    for place in reversed(places):
        steps.insert(place + 1, steps[place] + 1)
        for column in columns:
            if column:
                column.insert(place + 1, None)
    values, low, high = columns
    return replace(curve, steps=steps, values=values, low=low, high=high)


def recent_mean(points: Sequence[tuple[int, float]], count: int = 50) -> float | None:
    """Return the mean of the last `count` finite values; None without a finite value."""
    finite = [value for _, value in points[-count:] if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
