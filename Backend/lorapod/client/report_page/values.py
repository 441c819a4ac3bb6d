"""Numbers, moments and sizes as the page shows them: in plain English, and marked so that its script can localise them."""

from __future__ import annotations

from datetime import UTC, datetime

from lorapod.client.commands.screen import duration
from lorapod.client.report_page.markup import Markup, element


def number(value: float) -> Markup:
    """Return a number with at most four significant digits."""
    return element("data", _plain(value), class_="number", value=repr(value))


def moment(at: str) -> Markup:
    """Return a moment that an answer names in ISO 8601."""
    try:
        when = datetime.fromisoformat(at).astimezone(UTC)
    except ValueError:
        return element("span", at)
    text = f"{when.day} {when:%b %Y, %H:%M} UTC"
    return element("time", text, class_="moment", datetime=at, title=text)


def seconds_between(first: str | None, last: str | None) -> float | None:
    """Return the seconds between two moments; None if one is not known."""
    if first is None or last is None:
        return None
    try:
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except (TypeError, ValueError):
        return None


def span(seconds: float | None) -> Markup | None:
    """Return a duration, for example `1 h 02 min`; None if it is unknown."""
    return None if seconds is None or seconds < 0 else element("span", duration(seconds))


def size(size_bytes: float) -> Markup:
    """Return a size in megabytes."""
    return element("span", number(size_bytes / 1e6), " MB")


def _plain(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"
