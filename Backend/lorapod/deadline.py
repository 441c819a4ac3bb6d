"""A deadline: one moment by which work has to be over, handed down so that all parts share one budget."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock, in seconds."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that is `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """Seconds until then; 0.0 once it has passed."""
        return max(0.0, self.at_s - time.monotonic())

    def reserving(self, seconds: float) -> Deadline:
        """Return an earlier deadline that leaves `seconds` for what comes after, but at most half of what is left."""
        return Deadline(self.at_s - min(seconds, self.left_s / 2))
