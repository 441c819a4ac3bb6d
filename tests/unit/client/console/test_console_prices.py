"""What the console says of money: of a question, of a training, and nothing while no price is known."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.running_console import running_console
from tests.unit.client.console.test_console_server import HttpCaller

from lorapod.client import Client
from lorapod.client.console.prices import ConsolePrices
from lorapod.client.money.price_book import PriceBook
from lorapod.platform.prices import HourlyRate
from lorapod.testing.fake_queue import FakeQueue

TRAINING: dict[str, Any] = {
    "process_id": "train_0123456789ab",
    "trainer": "builtin",
    "gpu": "NVIDIA GeForce RTX 4090",
    "ran_s": 1800,
    "estimate": {"duration_s": 3600},
}


async def looked_up(book: PriceBook) -> ConsolePrices:
    prices = ConsolePrices(lambda: book)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(prices.keep(), 0.2)
    return prices


async def test_a_question_and_a_training_have_their_price() -> None:
    prices = await looked_up(PriceBook(given=HourlyRate(per_hour=Decimal("1.10"))))

    assert prices.of_a_question == "about $0.01"
    cost = prices.of_training(TRAINING)
    assert cost is not None
    assert cost["so_far_usd"] == pytest.approx(0.55)
    assert cost["text"].startswith("$0.55 so far, about $1.10 in all")


async def test_a_dear_worker_makes_a_question_dearer() -> None:
    prices = await looked_up(PriceBook(given=HourlyRate(per_hour=Decimal(18))))
    assert prices.of_a_question == "about $0.15"


@pytest.mark.parametrize("book", [None, PriceBook(unknown="RunPod does not say.")])
async def test_without_a_price_nothing_is_said(book: PriceBook | None) -> None:
    prices = ConsolePrices(None) if book is None else await looked_up(book)
    assert prices.of_a_question is None
    assert prices.of_training(TRAINING) is None


async def test_home_and_a_training_show_what_they_cost(tmp_path: Path) -> None:
    prices = await looked_up(PriceBook(given=HourlyRate(per_hour=Decimal(2))))
    client = Client("https://runpod.test/v2/fake/", http=FakeQueue())

    def views() -> tuple[Any, Any]:
        with running_console(client, tmp_path, prices=prices) as console:
            for number, status in enumerate(("completed", "running")):
                known = {
                    **TRAINING,
                    "process_id": f"train_00000000000{number}",
                    "type": "train",
                    "status": status,
                }
                console.parts.processes.learn({**known, "created_at": "2026-01-01T00:00:00Z"}, whole=True)
            caller = HttpCaller(console=console)
            caller.open()
            return caller.json("/api/home"), caller.json("/api/trainings/train_000000000001")

    home, training = await asyncio.to_thread(views)

    assert home["spent_usd"] == pytest.approx(2.0)
    assert home["running"][0]["cost"]["so_far_usd"] == pytest.approx(1.0)
    assert training["cost"]["text"].startswith("$1.00 so far")


async def test_a_generation_costs_by_how_long_the_last_one_took(tmp_path: Path) -> None:
    prices = await looked_up(PriceBook(given=HourlyRate(per_hour=Decimal(3))))
    client = Client("https://runpod.test/v2/fake/", http=FakeQueue())
    with running_console(client, tmp_path, prices=prices) as console:
        caller = HttpCaller(console=console)
        caller.open()
        assert caller.json("/api/playground/history")["cost"] == "about $0.10"
        console.parts.generations.begin("job-1", {"prompt": "a cat"})
        console.parts.generations.add("job-1", status="completed", took_s=600.0)
        assert caller.json("/api/playground/history")["cost"] == "about $0.50"
