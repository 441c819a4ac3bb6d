"""What things cost, in US dollars: exact amounts, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

#: A network volume per GB and month, up to 1 TB and beyond (docs.runpod.io/storage/network-volumes). The catalog of the
#: API has no price for volumes.
VOLUME_PER_GB_MONTH = 0.07
LARGE_VOLUME_PER_GB_MONTH = 0.05
_LARGE_GB = 1000

_HOUR_S = 3600

#: Amounts below this are shown with three digits; the smallest that three digits can show.
_SMALL = Decimal("0.1")
_SMALLEST = Decimal("0.001")


@dataclass(frozen=True, kw_only=True)
class HourlyRate:
    """What a worker costs in an hour, in US dollars."""

    per_hour: Decimal
    #: Name of its GPU for people; empty: it is not known which one it has.
    gpu: str = ""


def volume_per_month(size_gb: int) -> float:
    """Return what a network volume of this size costs in a month."""
    large_gb = max(0, size_gb - _LARGE_GB)
    return (size_gb - large_gb) * VOLUME_PER_GB_MONTH + large_gb * LARGE_VOLUME_PER_GB_MONTH


def exact(amount: float | Decimal) -> Decimal:
    """Return an amount as a person wrote it: 1.1, and not the binary number beside it."""
    return amount if isinstance(amount, Decimal) else Decimal(str(amount))


def cost_of(seconds: float, per_hour: Decimal) -> Decimal:
    """Return what so many seconds cost."""
    return exact(seconds) * per_hour / _HOUR_S


def seconds_for(budget: Decimal, per_hour: Decimal) -> int:
    """Return how many whole seconds a budget pays for.

    Raises:
        ValueError: the price is not above zero.
    """
    if per_hour <= 0:
        raise ValueError("a price must be above zero")
    return int((budget * _HOUR_S / per_hour).to_integral_value(ROUND_FLOOR))


def dollars(amount: float | Decimal) -> str:
    """Return an amount for people, for example `$1.10`; small ones with more digits."""
    value = exact(amount)
    size, sign = abs(value), "-" if value < 0 else ""
    if not size:
        return "$0.00"
    if size < _SMALLEST:
        return f"{sign}<$0.001"
    return f"{sign}${size:,.2f}" if size >= _SMALL else f"{sign}${size:.3f}"
