"""The options about money, and what they look up."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Annotated

import typer

from lorapod.client.commands.session import Connection
from lorapod.client.money.price_book import PriceBook, PriceLookup, find_prices
from lorapod.platform.prices import HourlyRate

PRICE_VARIABLE = "LORAPOD_PRICE_PER_HOUR"

#: A price or a budget above this is a slip of the finger.
_MOST = Decimal(1_000_000)

PricePerHourOption = Annotated[
    str | None,
    typer.Option(
        "--price-per-hour",
        metavar="DOLLARS",
        envvar=PRICE_VARIABLE,
        help="What a worker costs in an hour. Default: RunPod's list price.",
    ),
]
MaxCostOption = Annotated[
    str | None,
    typer.Option(
        "--max-cost",
        metavar="DOLLARS",
        help="End it, with a checkpoint, before its running time costs more than this; a sweep's trainings share it.",
    ),
]
IdleAfterOption = Annotated[
    str | None,
    typer.Option(
        "--idle-after",
        metavar="TIME",
        help="Warn if a worker is still on so long after the training, e.g. 10m; with --follow.",
    ),
]


def money(text: str, option: str) -> Decimal:
    """Return an amount such as `5`, `0.50` or `$5`.

    Raises:
        typer.BadParameter: it is not an amount, or not above zero.
    """
    try:
        amount = Decimal(text.strip().removeprefix("$").strip())
    except InvalidOperation:
        raise _bad(text, option) from None
    if not amount.is_finite() or not 0 < amount <= _MOST:
        raise _bad(text, option)
    return amount


def look_up_prices(context: typer.Context, price_per_hour: str | None) -> PriceLookup:
    """Begin to look up what a worker of the command's endpoint costs.

    Raises:
        typer.BadParameter: `price_per_hour` is not an amount.
    """
    connection: Connection = context.obj
    if price_per_hour is not None:
        given = HourlyRate(per_hour=money(price_per_hour, "--price-per-hour"))
        return PriceLookup.known(PriceBook(given=given))
    if connection.url is not None:
        return PriceLookup.known(PriceBook(unknown="An endpoint that is named by its URL has no list price."))
    try:
        endpoint_id = connection.named_endpoint()
    except ValueError as error:
        return PriceLookup.known(PriceBook(unknown=str(error)))
    if endpoint_id is None or connection.api_key is None:
        return PriceLookup.known(PriceBook(unknown="No endpoint of RunPod is named."))
    return PriceLookup(partial(find_prices, endpoint_id, connection.api_key))


def _bad(text: str, option: str) -> typer.BadParameter:
    return typer.BadParameter(f"{text!r} is not an amount of dollars such as 5 or 0.50", param_hint=option)
