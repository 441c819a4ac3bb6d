"""The plan in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lorapod.client.deploy.plan import DeploymentPlan, EndpointPlan, VolumePlan
from lorapod.client.deploy.wanted import WantedEndpoint
from lorapod.platform.prices import dollars, volume_per_month


def plan_lines(plan: DeploymentPlan) -> Iterator[str]:
    """Yield the plan, a line for each thing and each change, with prices."""
    yield from _volume_lines(plan.volume)
    for each in plan.endpoints:
        yield from _endpoint_lines(each, plan.volume_id)


def plan_json(plan: DeploymentPlan) -> dict[str, Any]:
    """Return the plan for scripts; variables by name only."""
    volume = plan.volume
    return {
        "volume": {
            "action": "create" if volume.existing is None else "keep",
            "id": None if volume.existing is None else volume.existing.id,
            "name": volume.name,
            "size_gb": volume.size_gb,
            "data_center": volume.data_center,
            "usd_per_month": round(volume_per_month(volume.size_gb), 2),
        },
        "endpoints": [_endpoint_json(each, plan.volume_id) for each in plan.endpoints],
        "warnings": list(plan.warnings),
    }


def _volume_lines(volume: VolumePlan) -> Iterator[str]:
    price = f"{dollars(volume_per_month(volume.size_gb))} a month"
    what = f"{volume.name}, {volume.size_gb} GB in {volume.data_center}: {price}"
    if volume.existing is None:
        yield f"volume      create  {what}"
    else:
        yield f"volume      keep    {what} ({volume.existing.id})"


def _endpoint_lines(plan: EndpointPlan, volume_id: str) -> Iterator[str]:
    wanted = plan.wanted
    if plan.existing is None:
        yield f"{plan.role:<11} create  {wanted.name}, image {wanted.image}"
        yield from (f"{'':<20}{line}" for line in _machine_lines(wanted))
        return
    changes = plan.changes(volume_id)
    yield f"{plan.role:<11} {'change' if changes else 'keep  '}  {wanted.name} ({plan.existing.id})"
    for change in changes:
        yield f"{'':<20}{change.setting}: {change.old} -> {change.new}".replace(":  ->", ":")
    yield f"{'':<20}{_price(wanted)}"


def _machine_lines(wanted: WantedEndpoint) -> Iterator[str]:
    for offer in wanted.pools:
        stock = offer.stock.get(wanted.data_center)
        free = "" if stock is None else f", stock {stock.lower()}"
        names = " or ".join(offer.names)
        yield f"{offer.pool}: {names}, {offer.memory_gb} GB, {dollars(offer.price_per_hour)} an hour{free}"
    if wanted.cpu is not None:
        yield (
            f"{wanted.cpu.flavor}: {wanted.cpu.vcpu_count} vCPU, {wanted.cpu.ram_gb:g} GB, "
            f"{dollars(wanted.cpu.price_per_hour)} an hour"
        )
    floor = "" if wanted.min_cuda is None else f"CUDA {wanted.min_cuda} or newer; "
    yield (
        f"{floor}{wanted.active_workers or 0} to {wanted.max_workers} workers, stopped after {wanted.idle_timeout_s} s without a job; jobs up to "
        f"{wanted.timeout_s / 3600:g} h"
    )
    yield f"environment: {', '.join(sorted({**wanted.env_defaults, **wanted.env}))}"
    yield _price(wanted)


def _price(wanted: WantedEndpoint) -> str:
    prices = [offer.price_per_hour for offer in wanted.pools]
    if wanted.cpu is not None:
        prices.append(wanted.cpu.price_per_hour)
    if not prices:
        return "costs nothing while no worker runs"
    low, high = dollars(min(prices)), dollars(max(prices))
    shown = low if low == high else f"{low} to {high}"
    return f"a worker costs {shown} an hour while it runs; without workers it costs nothing"


def _endpoint_json(plan: EndpointPlan, volume_id: str) -> dict[str, Any]:
    wanted = plan.wanted
    changes = plan.changes(volume_id)
    keep_or_change = "change" if changes else "keep"
    return {
        "role": plan.role.value,
        "action": "create" if plan.existing is None else keep_or_change,
        "id": None if plan.existing is None else plan.existing.id,
        "name": wanted.name,
        "image": wanted.image,
        "max_workers": wanted.max_workers,
        "pools": [
            {"pool": offer.pool, "gpus": list(offer.names), "usd_per_hour": offer.price_per_hour}
            for offer in wanted.pools
        ],
        "cpu": None
        if wanted.cpu is None
        else {"flavor": wanted.cpu.flavor, "usd_per_hour": wanted.cpu.price_per_hour},
        "variables": sorted({**wanted.env_defaults, **wanted.env}),
        "changes": [{"setting": change.setting, "old": change.old, "new": change.new} for change in changes],
    }
