from __future__ import annotations

import pytest

from lorapod.fast.building.pip import count_pins
from lorapod.fast.building.steps import BuildStage, BuildStep, remaining_s


def test_shares_grow_from_step_to_step() -> None:
    shares = [BuildStage(step=step, part=part).share for step in BuildStep for part in (0.0, 0.5, 1.0, 7.0)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("share", "elapsed_s", "known_s", "expected"),
    [
        (0.0, 1.0, None, None),
        (0.5, 30.0, None, 30.0),
        (0.25, 30.0, None, 90.0),
        # What was measured before counts, but not for less than nothing.
        (0.0, 10.0, 100.0, 90.0),
        (0.5, 500.0, 100.0, 25.0),
        (1.0, 500.0, 100.0, 1.0),
    ],
)
def test_how_long_it_will_take(
    share: float, elapsed_s: float, known_s: float | None, expected: float | None
) -> None:
    assert remaining_s(share, elapsed_s, known_s) == expected


def test_pins_are_counted_without_comments_and_options() -> None:
    assert count_pins("# a\n\n--extra-index-url https://x/\ntorch==2.13.0\n  # b\nrunpod==1.12.0\n") == 2
