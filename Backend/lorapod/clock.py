"""Clocks, injected so that no test waits for time to pass."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC; for people and records, never for durations."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; it never goes back, and all processes of one machine share it."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall-clock time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return `CLOCK_MONOTONIC`, in seconds."""
        return time.monotonic()
