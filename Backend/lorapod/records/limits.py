"""When a training is to be ended by itself: after so much running time, or at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one training; None: no such limit."""

    #: Seconds that its trainer may run, all runs since a person asked for it together.
    duration_s: float | None = None
    #: The moment at which it ends, wherever it is.
    until: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Return whether the moment is reached."""
        return self.until is not None and now >= self.until

    def reached(self, ran_s: float, now: datetime) -> bool:
        """Return whether a training that has run for `ran_s` has to end."""
        return self.expired(now) or (self.duration_s is not None and ran_s >= self.duration_s)


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What a `resume` changes of a training; None: nothing."""

    #: The new total of steps.
    steps: int | None = None
    limits: Limits | None = None


#: A resume that changes nothing.
UNCHANGED = Continuation()
