from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import typer

from lorapod.client.commands.times import limits, moment, seconds

NOW = datetime(2026, 1, 31, 22, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45m", 2700), ("1h30m", 5400), ("90s", 90), ("2d", 172_800), ("45", 2700), ("1h 5m", 3900)],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0m", "soon", "m45", "-5m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("23:00", "2026-01-31T23:00:00+01:00"),
        ("22:30", "2026-02-01T22:30:00+01:00"),
        ("7:05", "2026-02-01T07:05:00+01:00"),
        ("2026-02-03T10:00", "2026-02-03T10:00:00+01:00"),
        ("2026-02-03T10:00Z", "2026-02-03T10:00:00+00:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    assert moment(text, NOW).isoformat() == expected


@pytest.mark.parametrize("text", ["25:00", "tomorrow", "12:61"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment(text, NOW)


def test_limits_of_a_request() -> None:
    assert limits(None, None) is None
    assert limits("45m", None) == {"duration_s": 2700}
    assert set(limits("45m", "23:00") or {}) == {"duration_s", "until"}
