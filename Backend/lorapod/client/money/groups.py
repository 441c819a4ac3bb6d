"""By what bills are summed up."""

from __future__ import annotations

from enum import StrEnum


class SpendingGroup(StrEnum):
    """What one row sums up."""

    DAY = "day"
    ENDPOINT = "endpoint"
