"""What a training costs, by the time that its trainer runs and the price of its worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lorapod.client.money.price_book import PriceBook
from lorapod.platform.prices import HourlyRate, cost_of, dollars

#: Digits of amounts in JSON: a millionth of a dollar.
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """What a training or a sweep costs, as far as it is known."""

    #: None: the trainings of a sweep have several.
    rate: HourlyRate | None
    #: By the time that its trainer has run since the last `train` or `resume` of a person; None: it has not run.
    so_far: Decimal | None = None
    #: By its estimate; None without an estimate.
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
        price = "" if self.rate is None else f" ({rate_text(self.rate)})"
        return f"{'cost ' if self.ended else ''}{amounts}{price}"

    @property
    def as_json(self) -> dict[str, Any]:
        """Return it for scripts; what is not known is left out."""
        amounts = {"so_far_usd": self.so_far, "expected_usd": self.expected}
        known = {name: usd(amount) for name, amount in amounts.items() if amount is not None}
        return known if self.rate is None else {**known, **rate_json(self.rate)}


def training_cost(process: Mapping[str, Any], book: PriceBook) -> TrainingCost | None:
    """Return what a training or a sweep costs by its status; None if it is neither, or a price is not known."""
    estimate: Mapping[str, Any] = process.get("estimate") or {}
    if process.get("type") == "sweep":
        trainings: Sequence[Mapping[str, Any]] = process.get("processes") or ()
    elif process.get("trainer"):
        trainings = [process]
    else:
        return None
    planned = _rate(process.get("gpu") or estimate.get("gpu"), book)
    ran = [each for each in trainings if each.get("ran_s") is not None]
    rates = [rate for each in ran if (rate := _rate(each.get("gpu"), book)) is not None]
    # A part of the sum would be a wrong sum.
    if len(rates) < len(ran) or (planned is None and not ran):
        return None
    spent = [cost_of(each["ran_s"], rate.per_hour) for each, rate in zip(ran, rates, strict=True)]
    used: set[HourlyRate | None] = {*rates} if rates else {planned}
    duration_s = estimate.get("duration_s")
    return TrainingCost(
        rate=used.pop() if len(used) == 1 else None,
        so_far=sum(spent, Decimal(0)) if spent else None,
        expected=None if duration_s is None or planned is None else cost_of(duration_s, planned.per_hour),
        ended=process.get("ended_at") is not None,
    )


def _rate(gpu: str | None, book: PriceBook) -> HourlyRate | None:
    """Return the rate of this GPU; without one only the price that a person gave, because another would be a guess."""
    return book.rate(gpu) if gpu else book.given


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
