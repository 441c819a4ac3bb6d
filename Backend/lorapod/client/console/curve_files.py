"""Curves on disk, as the browser reads them: pairs of a step (uint32) and a value (float32), little-endian."""

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

_POINT_BYTES: Final = 8
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
        steps = [self._points(process_id, key)[0] for key in self.all_of(process_id)]
        return max((column[-1] for column in steps if column), default=None)

    def add(self, process_id: str, series: Mapping[str, Iterable[Point]], *, afresh: bool) -> None:
        """Add points after those that are kept; `afresh`: instead of them."""
        for key, points in series.items():
            steps, values = (array("I"), array("f")) if afresh else self._points(process_id, key)
            last = steps[-1] if steps else -1
            later = [point for point in points if point[0] > last]
            steps.extend(step for step, _ in later)
            values.extend(value for _, value in later)
            self._cache.put_content(_name(process_id, key), _joined(steps, values), _TYPE)

    def spark(self, process_id: str) -> Sequence[float]:
        """Return the loss of a process in a few points, each the mean of its neighbours."""
        values = [value for value in self._points(process_id, LOSS)[1] if math.isfinite(value)]
        width = max(1, math.ceil(len(values) / SPARK_POINTS))
        parts = [values[start : start + width] for start in range(0, len(values), width)]
        return [float(f"{math.fsum(part) / len(part):.5g}") for part in parts]

    def _points(self, process_id: str, key: str) -> tuple[array[int], array[float]]:
        kept = self._cache.content(_name(process_id, key))
        return (array("I"), array("f")) if kept is None else _parted(kept.path.read_bytes())


def _name(process_id: str, key: str) -> str:
    return f"curve:{process_id}:{key}"


def _joined(steps: array[int], values: array[float]) -> bytes:
    """Return the columns as pairs."""
    pairs = array("I", bytes(_POINT_BYTES * len(steps)))
    pairs[0::2] = steps
    pairs[1::2] = array("I", values.tobytes())
    return _little_endian(pairs).tobytes()


def _parted(content: bytes) -> tuple[array[int], array[float]]:
    """Return pairs as columns."""
    pairs = _little_endian(array("I", content))
    return pairs[0::2], array("f", pairs[1::2].tobytes())


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
