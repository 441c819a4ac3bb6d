"""TIES on large matrices: what peft computes, a few rows at a time, and without sorting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

#: Values of each matrix that are merged at once: they stay in the cache, and are too few for torch to wake its threads.
_CHUNK = 1 << 15
#: Values that are looked at to guess the limit of a large matrix.
_SAMPLE = 1 << 16


def merge_by_ties(changes: Sequence[torch.Tensor], weights: Sequence[float], density: float) -> torch.Tensor:
    """Return what peft's `ties` returns, which sorts each whole matrix and holds six copies of it."""
    limits = [smallest_kept(change, density) for change in changes]
    merged = torch.empty_like(changes[0])
    rows = max(1, _CHUNK // changes[0].shape[1])
    for first in range(0, len(merged), rows):
        some = slice(first, first + rows)
        kept = [
            change[some] * (change[some].abs() >= limit)
            for change, limit in zip(changes, limits, strict=True)
        ]
        merged[some] = _agreed(kept, weights)
    return merged


def _agreed(kept: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return the mean of those weighted changes whose sign is that of their sum."""
    total = kept[0].clone()
    for change in kept[1:]:
        total += change
    rises = total >= 0
    merged, count = torch.zeros_like(total), torch.zeros_like(total)
    for change, weight in zip(kept, weights, strict=True):
        agreeing = torch.where(rises, change.clamp(min=0), change.clamp(max=0))
        merged.add_(agreeing, alpha=weight)
        count.add_(agreeing != 0)
    return merged.div_(count.clamp_(min=1))


def smallest_kept(change: torch.Tensor, density: float) -> float:
    """Return the smallest absolute value among the share of the largest that is kept."""
    sizes = change.abs().flatten()
    kept = int(density * len(sizes))
    if not kept:
        return math.inf
    low, high = _bracket(sizes, kept)
    above = int((sizes > high).sum())
    between = sizes[(sizes >= low) & (sizes <= high)]
    if not above < kept <= above + len(between):
        # The guess was wrong: almost never.
        above, between = 0, sizes
    place = len(between) - (kept - above) + 1
    return float(between.kthvalue(place).values)


def _bracket(sizes: torch.Tensor, kept: int) -> tuple[float, float]:
    """Return two values between which the limit almost surely is, by a sample."""
    if len(sizes) <= _SAMPLE:
        return 0.0, math.inf
    chosen = torch.randint(len(sizes), (_SAMPLE,), generator=torch.Generator().manual_seed(0))
    sample = sizes[chosen].sort().values
    share = kept / len(sizes)
    margin = math.ceil(5 * math.sqrt(share * (1 - share) * _SAMPLE)) + 1
    place = round((1 - share) * _SAMPLE)
    low = sample[place - margin] if place >= margin else 0.0
    high = sample[place + margin] if place + margin < _SAMPLE else math.inf
    return float(low), float(high)
