from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from lorapod.client.commands.estimates import estimate_text
from lorapod.client.commands.panel import panel
from lorapod.client.money.price_book import PriceBook
from lorapod.platform.prices import HourlyRate
from lorapod.platform.rates import EndpointRates


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


RTX_4090 = HourlyRate(per_hour=Decimal("1.1"), gpu="RTX 4090")
BOOK = PriceBook(rates=EndpointRates(by_gpu={"nvidia geforce rtx 4090": RTX_4090}, possible=[RTX_4090]))


KNOWN_GPU = "NVIDIA GeForce RTX 4090"


@pytest.mark.parametrize(
    ("estimate", "book", "said"),
    [
        (
            {"duration_s": 2618.0, "gpu": KNOWN_GPU},
            BOOK,
            "takes about 44 min on RTX 4090, $0.80 (measured here)",
        ),
        # A price that a person gave counts for every machine.
        (
            {"duration_s": 5400.0},
            PriceBook(given=HourlyRate(per_hour=Decimal("0.8"))),
            "takes about 1 h 30 min, $1.20 (measured here)",
        ),
        (
            {"explanation": "New.", "gpu": KNOWN_GPU},
            BOOK,
            "no estimate: New. An hour costs $1.10 (RTX 4090).",
        ),
    ],
)
def test_a_cost_is_said_if_the_price_is_known(estimate: dict[str, Any], book: PriceBook, said: str) -> None:
    assert estimate_text({"basis": "measured here", **estimate}, book=book) == said


@pytest.mark.parametrize(
    ("gpu", "book", "why"),
    [
        ("NVIDIA A40", BOOK, "RunPod's catalog has no price for NVIDIA A40."),
        # It may hold for a processor: the price of the only GPU would be a guess.
        (None, BOOK, "The worker does not say which GPU it has."),
        (
            KNOWN_GPU,
            PriceBook(unknown="RunPod's API did not answer in time."),
            "RunPod's API did not answer in time.",
        ),
    ],
)
def test_without_a_price_it_says_why_and_guesses_nothing(gpu: str | None, book: PriceBook, why: str) -> None:
    estimate = {"duration_s": 60.0, "basis": "measured here", "gpu": gpu}
    told = estimate_text(estimate, book=book)
    assert told.endswith(
        f" (measured here). No price is known. {why} Give one with --price-per-hour DOLLARS."
    )
    assert "$" not in told


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
