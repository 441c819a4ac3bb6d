"""Time, injected, so that no test waits for a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a module reads time from."""

    def now(self) -> datetime:
        """The present wall-clock time, aware, in UTC; for people and records, never for durations."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never going back; shared by every process of one machine."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The present wall-clock time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """`CLOCK_MONOTONIC`, in seconds."""
        return time.monotonic()
