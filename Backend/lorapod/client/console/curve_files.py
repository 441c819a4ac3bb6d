"""Curves on disk, as the browser reads them: pairs of step and value, eight bytes each, little-endian floats."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lorapod.client.console.disk_cache import DiskCache

LOSS: Final = "loss/loss"
#: Points of the small line in a list.
SPARK_POINTS: Final = 48

_POINT_BYTES: Final = 16
_TYPE: Final = "application/octet-stream"

Point = tuple[int, float]


@dataclass(frozen=True, kw_only=True)
class CurveFile:
    """A curve that the browser can fetch."""

    digest: str
    points: int


class CurveFiles:
    """The curves of all processes."""

    def __init__(self, cache: DiskCache) -> None:
        self._cache = cache

    def all_of(self, process_id: str) -> Mapping[str, CurveFile]:
        """Return the curves of a process by their keys."""
        return {
            key: CurveFile(digest=kept.digest, points=kept.size_bytes // _POINT_BYTES)
            for key, kept in self._cache.names(_name(process_id, "")).items()
        }

    def last_step(self, process_id: str) -> int | None:
        """Return the last step that a curve of a process has; None if it has no curve."""
        last = [
            int(numbers[-2]) for key in self.all_of(process_id) if (numbers := self._numbers(process_id, key))
        ]
        return max(last, default=None)

    def add(self, process_id: str, series: Mapping[str, Iterable[Point]], *, afresh: bool) -> None:
        """Add points after those that are kept; `afresh`: instead of them."""
        for key, points in series.items():
            numbers = array("d") if afresh else self._numbers(process_id, key)
            last = numbers[-2] if numbers else -math.inf
            numbers.extend(number for step, value in points if step > last for number in (step, value))
            self._cache.put_content(_name(process_id, key), _little_endian(numbers).tobytes(), _TYPE)

    def spark(self, process_id: str) -> Sequence[float]:
        """Return the loss of a process in a few points, each the mean of its neighbours."""
        values = [value for value in self._numbers(process_id, LOSS)[1::2] if math.isfinite(value)]
        width = max(1, math.ceil(len(values) / SPARK_POINTS))
        parts = [values[start : start + width] for start in range(0, len(values), width)]
        return [float(f"{math.fsum(part) / len(part):.5g}") for part in parts]

    def _numbers(self, process_id: str, key: str) -> array[float]:
        kept = self._cache.content(_name(process_id, key))
        numbers = array("d")
        if kept is not None:
            numbers.frombytes(kept.path.read_bytes())
        return _little_endian(numbers)


def _name(process_id: str, key: str) -> str:
    return f"curve:{process_id}:{key}"


def _little_endian(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers
