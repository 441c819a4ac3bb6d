"""What a budget pays for: the time that a training may run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lorapod.client.errors import LorapodError
from lorapod.client.money.price_book import HOW_TO_GIVE_ONE, PriceBook
from lorapod.platform.prices import HourlyRate, seconds_for

#: The longest time that the worker takes as a limit.
LONGEST_S = 30 * 86_400
#: A training that may run for less than this does not get beyond loading its model.
SHORTEST_S = 60


class NoPriceKnown(LorapodError):
    """A budget cannot become a time, because no price is known."""


class BudgetTooSmall(ValueError):
    """A budget pays for too little time."""

    def __init__(self, seconds: int, rate: HourlyRate) -> None:
        self.seconds = seconds
        self.rate = rate
        super().__init__(f"pays for {seconds} s")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A budget and what it pays for."""

    #: For all trainings together.
    amount: Decimal
    #: How many trainings share it.
    trainings: int
    #: The highest that the endpoint's workers may have, so that the budget holds on each of them.
    rate: HourlyRate
    #: How long each training may run.
    seconds: int

    def limits(self, limits: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the limits of the request: the time that was asked for, or this budget's if that is shorter."""
        given = (limits or {}).get("duration_s")
        return {**(limits or {}), "duration_s": self.seconds if given is None else min(given, self.seconds)}


def make_budget(amount: Decimal, book: PriceBook, *, trainings: int = 1) -> Budget:
    """Return what a budget pays for.

    Raises:
        NoPriceKnown: no price is known.
        BudgetTooSmall: it pays for less than a minute of each training.
    """
    rate = book.dearest
    if rate is None:
        reason = book.why_unknown(None)
        raise NoPriceKnown(f"--max-cost needs a price, and no price is known. {reason}", hint=HOW_TO_GIVE_ONE)
    seconds = seconds_for(amount, rate.per_hour * trainings)
    if seconds < SHORTEST_S:
        raise BudgetTooSmall(seconds, rate)
    return Budget(amount=amount, trainings=trainings, rate=rate, seconds=min(seconds, LONGEST_S))
