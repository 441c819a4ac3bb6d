"""How long a training takes, in words for a person, and what that costs if the price is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.client.commands.screen import duration

#: From here on, seconds say nothing.
_IN_MINUTES_S = 600


def estimate_text(estimate: Mapping[str, Any] | None, *, price_per_hour: float | None = None) -> str:
    """Return an answer's estimate as one line, for example `takes about 42 min (measured here)`; empty if there is none.

    Args:
        estimate: the answer's field.
        price_per_hour: US dollars that the worker costs in an hour; None: the price is not known, and no cost is shown.
    """
    if not estimate:
        return ""
    seconds = estimate.get("duration_s")
    if seconds is None:
        return f"no estimate: {explanation}" if (explanation := estimate.get("explanation")) else ""
    shown = duration(seconds)
    if seconds >= _IN_MINUTES_S:
        shown = duration(round(seconds / 60) * 60).removesuffix(" 00 s")
    cost = "" if price_per_hour is None else f", about ${seconds / 3600 * price_per_hour:.2f}"
    return f"takes about {shown}{cost} ({estimate.get('basis')})"
