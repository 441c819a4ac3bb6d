"""Folders whose names say how often their images are repeated, as kohya's trainers want them: `10_cat`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_REPEATS = re.compile(r"([1-9]\d{0,2})_.+")


def repeats_of(folder: str) -> int | None:
    """Return how often the images of a folder of that name are repeated; None if the name says no number."""
    match = _REPEATS.fullmatch(folder)
    return int(match[1]) if match else None


def repeat_counts(parents: Sequence[str]) -> Mapping[str, int]:
    """Return the repeats of each folder, if all folders with images say them; nothing if they mean something else.

    Folders that are numbered 1, 2, 3, … are in an order, and a single folder needs no repeats.
    """
    counts = {parent: repeats_of(parent) or 0 for parent in sorted(set(parents))}
    numbers = sorted(counts.values())
    ordered = numbers == list(range(1, len(numbers) + 1))
    return counts if len(counts) > 1 and numbers[0] > 0 and numbers[-1] > 1 and not ordered else {}
