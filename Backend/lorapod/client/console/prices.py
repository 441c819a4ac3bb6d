"""What a worker costs, looked up once while the first pages are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from lorapod.client.money.price_book import PriceBook
from lorapod.client.money.training_cost import training_cost
from lorapod.platform.prices import HourlyRate, cost_of, dollars

#: How long a worker is on for a question: its start, the answer, and the time until it sleeps again.
_QUESTION_S: Final = 30.0
_CENT: Final = Decimal("0.01")
#: A look at the prices is repeated after this time, so that a console that runs for days has those of today.
_KEPT_S: Final = 6 * 3600.0


class ConsolePrices:
    """The prices of the endpoint's workers; until they are known, nothing is said of money."""

    def __init__(self, find: Callable[[], PriceBook] | None) -> None:
        """Look up by `find`, which blocks and never raises; None: this endpoint costs nothing, or is not RunPod's."""
        self._find = find
        self._book: PriceBook | None = None

    async def keep(self) -> None:
        """Look the prices up, again and again, until this is cancelled."""
        while self._find is not None:
            found = await asyncio.to_thread(self._find)
            if self._book is None or not found.unknown:
                self._book = found
            await asyncio.sleep(_KEPT_S)

    @property
    def of_a_question(self) -> str | None:
        """What a question to a worker costs that is not up, for a person; None: it is not known."""
        return self.of_work(_QUESTION_S)

    @property
    def per_hour(self) -> str | None:
        """What a worker costs, of several kinds the dearest, for a person; None: it is not known."""
        rate = self._rate()
        return None if rate is None else f"{dollars(rate.per_hour)} an hour"

    def of_work(self, seconds: float) -> str | None:
        """Return what a worker costs that is on for so long, for a person; None: it is not known."""
        rate = self._rate()
        if rate is None:
            return None
        return f"about ${max(cost_of(seconds, rate.per_hour), _CENT):.2f}"

    def of_training(self, process: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what a training costs: `text` for a person, and the amounts; None: it is not known."""
        cost = None if self._book is None else training_cost(process, self._book)
        return None if cost is None else {"text": cost.text, **cost.as_json}

    def _rate(self) -> HourlyRate | None:
        return None if self._book is None else self._book.rate(None) or self._book.dearest
