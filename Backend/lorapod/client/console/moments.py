"""Moments as the console tells them to the browser."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Return the present moment in RFC 3339, to the millisecond, so that moments sort as texts."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
