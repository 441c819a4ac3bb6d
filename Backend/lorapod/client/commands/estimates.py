"""How long a training takes, in words for a person, and what that costs if the price is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.client.commands.screen import duration
from lorapod.client.money.price_book import HOW_TO_GIVE_ONE, PriceBook
from lorapod.client.money.training_cost import rate_json, usd
from lorapod.platform.prices import HourlyRate, cost_of, dollars

#: From here on, seconds say nothing.
_IN_MINUTES_S = 600


def estimate_text(estimate: Mapping[str, Any] | None, *, book: PriceBook | None = None) -> str:
    """Return an answer's estimate as one line, for example `takes about 42 min on RTX 4090, $0.77 (measured here)`.

    Without an estimate the text is empty.

    Args:
        estimate: the answer's field.
        book: the prices; None: no cost is shown.
    """
    if not estimate:
        return ""
    gpu, seconds = estimate.get("gpu"), estimate.get("duration_s")
    rate = _rate(estimate, book)
    if seconds is None:
        explanation = estimate.get("explanation")
        of = f" ({rate.gpu})" if rate is not None and rate.gpu else ""
        price = f" An hour costs {dollars(rate.per_hour)}{of}." if rate is not None else ""
        return f"no estimate: {explanation}{price}" if explanation else ""
    name = (rate.gpu if rate is not None else "") or gpu
    where = f" on {name}" if name else ""
    cost = "" if rate is None else f", {dollars(cost_of(seconds, rate.per_hour))}"
    text = f"takes about {shown_time(seconds)}{where}{cost} ({estimate.get('basis')})"
    if book is None or rate is not None:
        return text
    return f"{text}. No price is known. {book.why_unknown(gpu)} {HOW_TO_GIVE_ONE}"


def estimate_json(estimate: Mapping[str, Any] | None, book: PriceBook) -> dict[str, Any]:
    """Return what an estimate costs, for scripts: the cost, or why it is not known."""
    rate = _rate(estimate or {}, book)
    if rate is None:
        return {"unknown": book.why_unknown((estimate or {}).get("gpu"))}
    seconds = (estimate or {}).get("duration_s")
    expected = {} if seconds is None else {"expected_usd": usd(cost_of(seconds, rate.per_hour))}
    return {**expected, **rate_json(rate)}


def shown_time(seconds: float) -> str:
    """Return a duration for people, without seconds if they say nothing."""
    if seconds < _IN_MINUTES_S:
        return duration(seconds)
    return duration(round(seconds / 60) * 60).removesuffix(" 00 s")


def _rate(estimate: Mapping[str, Any], book: PriceBook | None) -> HourlyRate | None:
    """Return the rate of the GPU that the estimate holds for: the time on a processor costs no GPU's price."""
    if book is None:
        return None
    gpu = estimate.get("gpu")
    return book.rate(gpu) if gpu else book.given
