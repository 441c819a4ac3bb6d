"""Folders whose names say how often their images are repeated, as kohya's trainers want them: `10_cat`."""

from __future__ import annotations

import re

_REPEATS = re.compile(r"([1-9]\d{0,2})_.+")


def repeats_of(folder: str) -> int | None:
    """Return how often the images of a folder of that name are repeated; None if the name says no number."""
    match = _REPEATS.fullmatch(folder)
    return int(match[1]) if match else None
