"""What things cost, in US dollars."""

from __future__ import annotations

#: A network volume per GB and month, up to 1 TB and beyond (docs.runpod.io/storage/network-volumes). The catalog of the
#: API has no price for volumes.
VOLUME_PER_GB_MONTH = 0.07
LARGE_VOLUME_PER_GB_MONTH = 0.05
_LARGE_GB = 1000


def volume_per_month(size_gb: int) -> float:
    """Return what a network volume of this size costs in a month."""
    large_gb = max(0, size_gb - _LARGE_GB)
    return (size_gb - large_gb) * VOLUME_PER_GB_MONTH + large_gb * LARGE_VOLUME_PER_GB_MONTH


def dollars(amount: float) -> str:
    """Return an amount for people, for example `$1.10`; small ones with more digits."""
    return f"${amount:.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.3f}"
