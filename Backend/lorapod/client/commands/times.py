"""Times as a person writes them at the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import typer

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")


def limits(max_time: str | None, until: str | None) -> dict[str, Any] | None:
    """Return the field `limits` of a request; None if there are none.

    Raises:
        typer.BadParameter: a text is not a time.
    """
    found: dict[str, Any] = {}
    if max_time is not None:
        found["duration_s"] = seconds(max_time)
    if until is not None:
        found["until"] = moment(until, datetime.now().astimezone()).isoformat()
    return found or None


def seconds(text: str, option: str = "--max-time") -> float:
    """Return the seconds of a duration such as `45m`, `1h30m` or `90s`; a number alone is minutes.

    Raises:
        typer.BadParameter: it is not one.
    """
    plain = f"{text}m" if text.isdigit() else text.replace(" ", "")
    found = _DURATION.fullmatch(plain)
    days, hours, minutes, rest = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    total = timedelta(days=days, hours=hours, minutes=minutes, seconds=rest).total_seconds()
    if total <= 0:
        raise typer.BadParameter(f"{text!r} is not a time such as 45m, 1h30m or 90s", param_hint=option)
    return total


def moment(text: str, now: datetime) -> datetime:
    """Return the next moment with this time of the clock, or that of a full date; both of this machine's time zone.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        if found := _CLOCK.fullmatch(text.strip()):
            today = now.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
            return today if today > now else today + timedelta(days=1)
        given = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time such as 23:00 or 2026-01-31T23:00", param_hint="--until"
        ) from None
    return given if given.tzinfo is not None else given.replace(tzinfo=now.tzinfo)
