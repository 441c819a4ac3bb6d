"""The limits of a request, as the order keeps them."""

from __future__ import annotations

from lorapod.clock import Clock
from lorapod.errors import InvalidInput
from lorapod.records.limits import Limits
from lorapod.wire.limits import TrainingLimits


def wanted_limits(asked: TrainingLimits | None, clock: Clock) -> Limits | None:
    """Return the limits of a request; None if it has none.

    Raises:
        InvalidInput: the moment has passed.
    """
    if asked is None:
        return None
    limits = Limits(duration_s=asked.duration_s, until=asked.until)
    if limits.expired(clock.now()):
        raise InvalidInput(
            "limits.until: this moment has passed.",
            hint="Times without an offset are UTC.",
            details=[{"field": "limits.until", "error": "has passed"}],
        )
    return limits
