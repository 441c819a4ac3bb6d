from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from lorapod.client.commands.estimates import estimate_text
from lorapod.client.commands.live import panel


@pytest.mark.parametrize(
    ("duration_s", "said"),
    [
        (8.2, "takes about 8 s (measured here)"),
        (95.0, "takes about 1 min 35 s (measured here)"),
        (2519.0, "takes about 42 min (measured here)"),
        (3599.0, "takes about 1 h 00 min (measured here)"),
        (7380.0, "takes about 2 h 03 min (measured here)"),
    ],
)
def test_a_duration_is_said_with_its_basis(duration_s: float, said: str) -> None:
    assert estimate_text({"duration_s": duration_s, "basis": "measured here"}) == said


def test_a_cost_is_said_if_the_price_is_known() -> None:
    estimate = {"duration_s": 5400.0, "basis": "rule of thumb"}
    assert (
        estimate_text(estimate, price_per_hour=0.8) == "takes about 1 h 30 min, about $1.20 (rule of thumb)"
    )


def test_an_unknown_duration_says_why() -> None:
    assert estimate_text({"explanation": "Never measured."}) == "no estimate: Never measured."
    assert estimate_text({"gpu_memory_bytes": 1}) == ""
    assert estimate_text(None) == ""


def test_a_status_shows_it_until_the_end() -> None:
    def shown(status: str) -> str:
        estimate = {"duration_s": 2519.0, "basis": "measured here"}
        process: dict[str, Any] = {
            "process_id": "train_0123456789ab",
            "name": "cat",
            "status": status,
            "progress": {"step": 1, "total_steps": 2},
            "estimate": estimate,
        }
        console = Console(width=100)
        with console.capture() as text:
            console.print(panel(process, []))
        return text.get()

    assert "takes about 42 min (measured here)" in shown("running")
    assert "about 42 min" not in shown("completed")
