"""What a training costs, by the time that its trainer runs and the price of its worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lorapod.client.money.price_book import PriceBook
from lorapod.platform.prices import HourlyRate, cost_of, dollars

#: Digits of amounts in JSON: a millionth of a dollar.
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """What a training costs, as far as it is known."""

    rate: HourlyRate
    #: By the time that its trainer has run since the last `train` or `resume` of a person; None: it has not run.
    so_far: Decimal | None = None
    #: By its estimate; None: there is none.
    expected: Decimal | None = None
    #: Whether the training has ended.
    ended: bool = False

    @property
    def amounts(self) -> str:
        """Return the amounts for people, for example `$0.31 so far, about $0.80 in all`; empty if none is known."""
        if self.ended:
            return "" if self.so_far is None else dollars(self.so_far)
        parts = [] if self.so_far is None else [f"{dollars(self.so_far)} so far"]
        parts += [] if self.expected is None else [f"about {dollars(self.expected)} in all"]
        return ", ".join(parts)

    @property
    def text(self) -> str:
        """Return it for people as one line, with the price; empty if no amount is known."""
        if not (amounts := self.amounts):
            return ""
        return f"{'cost ' if self.ended else ''}{amounts} ({rate_text(self.rate)})"

    @property
    def as_json(self) -> dict[str, Any]:
        """Return it for scripts; what is not known is left out."""
        amounts = {"so_far_usd": self.so_far, "expected_usd": self.expected}
        known = {name: usd(amount) for name, amount in amounts.items() if amount is not None}
        return {**known, **rate_json(self.rate)}


def training_cost(process: Mapping[str, Any], book: PriceBook) -> TrainingCost | None:
    """Return what a training costs by its status; None if it is no training, or the price is not known."""
    estimate: Mapping[str, Any] = process.get("estimate") or {}
    gpu = process.get("gpu") or estimate.get("gpu")
    rate = book.rate(gpu) if gpu or book.given is not None else None
    if rate is None or not process.get("trainer"):
        return None
    ran_s, duration_s = process.get("ran_s"), estimate.get("duration_s")
    return TrainingCost(
        rate=rate,
        so_far=None if ran_s is None else cost_of(ran_s, rate.per_hour),
        expected=None if duration_s is None else cost_of(duration_s, rate.per_hour),
        ended=process.get("ended_at") is not None,
    )


def rate_text(rate: HourlyRate) -> str:
    """Return a rate for people, for example `RTX 4090, $1.10 an hour`."""
    price = f"{dollars(rate.per_hour)} an hour"
    return f"{rate.gpu}, {price}" if rate.gpu else price


def rate_json(rate: HourlyRate) -> dict[str, Any]:
    """Return a rate for scripts."""
    gpu = {"gpu": rate.gpu} if rate.gpu else {}
    return {"usd_per_hour": usd(rate.per_hour), **gpu}


def usd(amount: Decimal) -> float:
    """Return an amount as a number of JSON."""
    return float(round(amount, _DIGITS))
