"""Which GPUs and which data center an endpoint gets, by memory, price and stock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lorapod.platform.models import CpuFlavor, DataCenter, GpuType, Stock

#: Data centers whose network volumes can be read by S3, without a worker (docs.runpod.io/storage/s3-api).
S3_DATA_CENTERS = frozenset(
    {
        *("EU-CZ-1", "EU-RO-1", "EUR-IS-1", "EUR-NO-1"),
        *("US-CA-2", "US-GA-2", "US-IL-1", "US-KS-2", "US-MD-1", "US-MO-1", "US-MO-2", "US-NC-1", "US-NC-2"),
        *("US-NE-1", "US-WA-1"),
    }
)

#: Several pools give the scheduler room if one is empty.
_POOLS = 3
#: Pools that cost more than this many times the cheapest are left out.
_DEARER = 2.0

#: A front door holds a worker without a trainer.
_CPU_RAM_GB = 4.0


@dataclass(frozen=True, kw_only=True)
class PoolOffer:
    """One serverless pool, as far as its GPUs are large enough."""

    pool: str
    #: Names of the GPUs that count.
    names: tuple[str, ...]
    #: Ids of the pool's GPUs that are too small.
    excluded_types: tuple[str, ...]
    #: Of the smallest GPU that counts.
    memory_gb: int
    #: US dollars per GPU; the most that one of its GPUs costs.
    price_per_hour: float
    #: The best stock of its GPUs, by data center.
    stock: Mapping[str, Stock]


@dataclass(frozen=True, kw_only=True)
class CpuOffer:
    """One kind of CPU machine."""

    flavor: str
    vcpu_count: int
    ram_gb: float
    price_per_hour: float


def pool_offers(
    gpus: Iterable[GpuType], *, memory_gb: int, max_price: float | None = None
) -> list[PoolOffer]:
    """Return the pools whose GPUs have so much memory, the cheapest first; AMD's cannot run the image."""
    pools: dict[str, list[GpuType]] = {}
    for gpu in gpus:
        if gpu.pool is not None:
            pools.setdefault(gpu.pool, []).append(gpu)
    offers = [offer for pool, types in pools.items() if (offer := _offer(pool, types, memory_gb)) is not None]
    affordable = [offer for offer in offers if max_price is None or offer.price_per_hour <= max_price]
    return sorted(affordable, key=lambda offer: (offer.price_per_hour, offer.pool))


def _offer(pool: str, types: Sequence[GpuType], memory_gb: int) -> PoolOffer | None:
    prices: list[float] = []
    fitting: list[GpuType] = []
    for gpu in types:
        if gpu.manufacturer == "NVIDIA" and gpu.memory >= memory_gb and gpu.price.serverless is not None:
            fitting.append(gpu)
            prices.append(gpu.price.serverless)
    if not fitting:
        return None
    stock: dict[str, Stock] = {}
    for gpu in fitting:
        for place in gpu.data_centers:
            stock[place.id] = max(stock.get(place.id, Stock.NONE), place.availability, key=_rank)
    return PoolOffer(
        pool=pool,
        names=tuple(gpu.name for gpu in fitting),
        excluded_types=tuple(gpu.id for gpu in types if gpu not in fitting),
        memory_gb=min(gpu.memory for gpu in fitting),
        price_per_hour=max(prices),
        stock=stock,
    )


def pools_in(offers: Sequence[PoolOffer], data_center: str) -> list[PoolOffer]:
    """Return the pools to use in a data center: the cheapest with stock, and others that cost little more.

    If nothing is free there now, the pools that the data center has at all.
    """
    known = [offer for offer in offers if data_center in offer.stock]
    free = [offer for offer in known if offer.stock[data_center] is not Stock.NONE]
    usable = free or known
    return [offer for offer in usable if offer.price_per_hour <= _DEARER * usable[0].price_per_hour][:_POOLS]


def data_centers_for(offers: Sequence[PoolOffer], data_centers: Iterable[DataCenter]) -> list[str]:
    """Return the data centers for a new volume, the best first: volumes, S3, and free GPUs at a low price."""
    found = []
    for place in data_centers:
        usable = [
            offer
            for offer in pools_in(offers, place.id)
            if offer.stock.get(place.id, Stock.NONE) is not Stock.NONE
        ]
        if usable and place.network_volume_types and place.id in S3_DATA_CENTERS:
            scarce = all(offer.stock[place.id] is Stock.LOW for offer in usable)
            best = max(offer.stock[place.id].rank for offer in usable)
            found.append((scarce, usable[0].price_per_hour, -best, -len(usable), place.id))
    return [place_id for *_, place_id in sorted(found)]


def cpu_offer(flavors: Iterable[CpuFlavor], data_center: str, *, vcpu_count: int) -> CpuOffer | None:
    """Return the cheapest CPU machine that is free in a data center and large enough for a front door."""
    offers = [
        CpuOffer(
            flavor=flavor.id,
            vcpu_count=vcpu_count,
            ram_gb=flavor.ram_gb_per_vcpu * vcpu_count,
            price_per_hour=flavor.price.serverless_per_vcpu * vcpu_count,
        )
        for flavor in flavors
        if flavor.vcpu.min <= vcpu_count <= flavor.vcpu.max
        and flavor.ram_gb_per_vcpu * vcpu_count >= _CPU_RAM_GB
        and any(
            place.id == data_center and place.availability is not Stock.NONE for place in flavor.data_centers
        )
    ]
    return min(offers, key=lambda offer: (offer.price_per_hour, offer.flavor), default=None)


def _rank(stock: Stock) -> int:
    return stock.rank
