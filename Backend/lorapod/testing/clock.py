"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """A `lorapod.clock.Clock`."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        """Begin at `now`, with the monotonic clock at 1000 s."""
        self._start = now
        self._passed_s = 0.0

    def now(self) -> datetime:
        """Return the time."""
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return 1000.0 + self._passed_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._passed_s += seconds
