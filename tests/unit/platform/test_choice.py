"""GPUs and data centers by memory, price and stock."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.servers.platform_catalog import CPUS, DATA_CENTERS, GPUS

from lorapod.platform.choice import cpu_offer, data_centers_for, pool_offers, pools_in
from lorapod.platform.models import CpuFlavor, DataCenter, GpuType
from lorapod.platform.preset_needs import PRESET_NEEDS
from lorapod.platform.prices import dollars, volume_per_month
from lorapod.trainers import presets

GPU_TYPES = [GpuType.model_validate(each) for each in GPUS]
PLACES = [DataCenter.model_validate(each) for each in DATA_CENTERS]
FLAVORS = [CpuFlavor.model_validate(each) for each in CPUS]


def gpu(**fields: Any) -> GpuType:
    return GpuType.model_validate({**GPUS[2], **fields})


def test_pools_come_by_price_and_without_small_or_unpriced_gpus() -> None:
    offers = pool_offers(GPU_TYPES, memory_gb=24)

    assert [offer.pool for offer in offers] == ["AMPERE_24", "ADA_24", "AMPERE_48", "ADA_48_PRO", "AMPERE_80"]
    assert [offer.pool for offer in pool_offers(GPU_TYPES, memory_gb=24, max_price=1.1)] == [
        "AMPERE_24",
        "ADA_24",
    ]


def test_gpus_of_another_maker_are_left_out_of_their_pool() -> None:
    (offer,) = pool_offers([gpu(), gpu(id="AMD", manufacturer="AMD")], memory_gb=24)

    assert offer.excluded_types == ("AMD",)
    assert pool_offers([gpu(manufacturer="AMD")], memory_gb=24) == []


def test_a_pool_costs_what_its_dearest_gpu_costs() -> None:
    (offer,) = pool_offers([gpu(), gpu(id="b", price={"serverless": 2.0})], memory_gb=24)

    assert offer.price_per_hour == 2.0


def test_much_dearer_pools_are_left_out() -> None:
    offers = pool_offers(GPU_TYPES, memory_gb=40)

    assert [offer.pool for offer in pools_in(offers, "US-KS-2")] == ["AMPERE_48", "ADA_48_PRO"]


def test_pools_that_are_all_busy_are_still_used() -> None:
    busy = [{"id": "EU-RO-1", "name": "x", "availability": "NONE"}]
    offers = pool_offers([gpu(dataCenters=busy)], memory_gb=24)

    assert [offer.pool for offer in pools_in(offers, "EU-RO-1")] == ["ADA_24"]
    assert data_centers_for(offers, PLACES) == []


def test_a_volume_is_made_where_volumes_and_s3_are_and_gpus_are_cheap() -> None:
    assert data_centers_for(pool_offers(GPU_TYPES, memory_gb=24), PLACES) == ["EU-RO-1", "US-KS-2"]
    assert data_centers_for(pool_offers(GPU_TYPES, memory_gb=80), PLACES) == ["US-KS-2"]


def test_a_place_with_little_stock_comes_last() -> None:
    scarce = [
        {"id": "EU-RO-1", "name": "x", "availability": "LOW"},
        {"id": "US-KS-2", "name": "x", "availability": "HIGH"},
    ]

    assert data_centers_for(pool_offers([gpu(dataCenters=scarce)], memory_gb=24), PLACES) == [
        "US-KS-2",
        "EU-RO-1",
    ]


@pytest.mark.parametrize(("place", "flavor"), [("EU-RO-1", "cpu3c"), ("US-KS-2", "cpu5c")])
def test_the_cheapest_cpu_that_is_free_there_is_taken(place: str, flavor: str) -> None:
    offer = cpu_offer(FLAVORS, place, vcpu_count=2)

    assert offer is not None
    assert (offer.flavor, offer.ram_gb) == (flavor, 4.0)


def test_there_may_be_no_cpu() -> None:
    assert cpu_offer(FLAVORS, "CA-MTL-1", vcpu_count=2) is None
    assert cpu_offer(FLAVORS, "EU-RO-1", vcpu_count=64) is None


@pytest.mark.parametrize(("gb", "price"), [(10, 0.7), (100, 7.0), (1000, 70.0), (2000, 120.0)])
def test_a_volume_costs_less_beyond_a_terabyte(gb: int, price: float) -> None:
    assert volume_per_month(gb) == pytest.approx(price)


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "$0.00"), (0.06, "$0.060"), (1.1, "$1.10"), (120, "$120.00")]
)
def test_prices_for_people(amount: float, shown: str) -> None:
    assert dollars(amount) == shown


def test_the_needs_of_presets_are_those_of_the_worker() -> None:
    assert {name: (need.gpu_gb, need.base_model, need.gated) for name, need in PRESET_NEEDS.items()} == {
        name: (math.ceil(preset.min_gpu_memory_bytes / 1e9), preset.base_model, preset.gated)
        for name in presets.names()
        for preset in [presets.get(name)]
    }
