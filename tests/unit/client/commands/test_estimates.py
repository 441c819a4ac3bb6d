from __future__ import annotations

import pytest

from lorapod.client.commands.estimates import estimate_text


@pytest.mark.parametrize(
    ("duration_s", "said"),
    [
        (8.2, "about 8 s (measured here)"),
        (95.0, "about 1 min 35 s (measured here)"),
        (2519.0, "about 42 min (measured here)"),
        (3599.0, "about 1 h 00 min (measured here)"),
        (7380.0, "about 2 h 03 min (measured here)"),
    ],
)
def test_a_duration_is_said_with_its_basis(duration_s: float, said: str) -> None:
    assert estimate_text({"duration_s": duration_s, "basis": "measured here"}) == said


def test_a_cost_is_said_if_the_price_is_known() -> None:
    estimate = {"duration_s": 5400.0, "basis": "rule of thumb"}
    assert estimate_text(estimate, price_per_hour=0.8) == "about 1 h 30 min, about $1.20 (rule of thumb)"


def test_an_unknown_duration_says_why() -> None:
    assert estimate_text({"explanation": "Never measured."}) == "no estimate: Never measured."
    assert estimate_text({"gpu_memory_bytes": 1}) == ""
    assert estimate_text(None) == ""
