"""What a cosine is worth: as a share of the way from the base model's pictures to the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

#: A difference has to be this many times its standard error, or the model cannot see it. (What it means for the LoRAs is
#: for the bootstrap to say: here it only must not be a division by chance.)
_ERRORS = 1.0
_SMALLEST = 1e-5


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Two cosines that are known: 0 and 1 of a share."""

    floor: float
    ceiling: float

    def share(self, cosine: float) -> float:
        """Return where it is between them; never more than 1: nearer to the dataset than its own images are is no merit."""
        return max(-1.0, min(1.0, (cosine - self.floor) / (self.ceiling - self.floor)))

    def lead(self, cosine: float) -> float:
        """Return how much better than the ceiling it is (0), as a share of the scale; -1 is as bad as the floor."""
        return max(-1.0, min(1.0, (cosine - self.ceiling) / (self.ceiling - self.floor)))


def scale_between(low: Sequence[float], high: Sequence[float]) -> Scale | None:
    """Return the scale between the means of two groups; None if their difference is not larger than chance."""
    if not low or not high:
        return None
    floor, ceiling = fmean(low), fmean(high)
    error = (_squared_error(low) + _squared_error(high)) ** 0.5
    return Scale(floor=floor, ceiling=ceiling) if ceiling - floor > max(_ERRORS * error, _SMALLEST) else None


def drift_share(drift: float, base_likeness: Sequence[float]) -> float:
    """Return a drift as a share of the distance between the base model's pictures and the dataset, at most 1."""
    distance = 1.0 - fmean(base_likeness)
    return min(1.0, drift / distance) if distance > _SMALLEST else 0.0


def _squared_error(values: Sequence[float]) -> float:
    return variance(values) / len(values) if len(values) > 1 else 0.0
