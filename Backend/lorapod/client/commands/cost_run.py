"""One run of `cost`: which endpoints and volumes count, their bills, and how they are printed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import typer

from lorapod.client.commands.platform_session import open_platform
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import Connection
from lorapod.client.money.bills import Bills, CostScope, read_bills
from lorapod.client.money.groups import SpendingGroup
from lorapod.client.money.spending import Spending, summed, total_of
from lorapod.client.money.training_cost import usd
from lorapod.client.project_file import ProjectFile, project_path, read_project
from lorapod.platform.prices import dollars


def show_cost(
    context: typer.Context,
    endpoint_id: str | None,
    *,
    everything: bool,
    days: int,
    by: SpendingGroup,
    as_json: bool,
) -> None:
    """Print what RunPod billed.

    Raises:
        typer.Exit: RunPod refuses, or knows no such endpoint.
        typer.BadParameter: `lorapod.toml` cannot be read.
    """
    screen = Screen(as_json=as_json, context=context)
    connection: Connection = context.obj
    try:
        project = read_project(project_path())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=str(project_path())) from None
    scope = _scope(endpoint_id or connection.endpoint_id, project, everything=everything)
    with open_platform(context, screen) as platform:
        bills = read_bills(platform, scope, days)
        if as_json:
            screen.answer(_json(bills, by))
        else:
            _print(screen, bills, by)


def _scope(endpoint_id: str | None, project: ProjectFile, *, everything: bool) -> CostScope:
    if everything:
        return CostScope(endpoint_ids=None)
    if endpoint_id is not None:
        return CostScope(endpoint_ids=frozenset({endpoint_id}))
    own = frozenset(each for each in (project.endpoint, project.front_door) if each is not None)
    volume = frozenset({project.volume}) if project.volume is not None else frozenset()
    return CostScope(endpoint_ids=own, volume_ids=volume) if own else CostScope(endpoint_ids=None)


def _by_volume(bills: Bills) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for bill in bills.volumes:
        found[bill.network_volume_id] = found.get(bill.network_volume_id, Decimal(0)) + bill.total_amount
    return {volume_id: amount for volume_id, amount in sorted(found.items()) if amount}


def _json(bills: Bills, by: SpendingGroup) -> dict[str, Any]:
    wanted = bills.scope.endpoint_ids
    serverless, volumes = total_of(bills.serverless), total_of(bills.volumes)
    return {
        "days": bills.days,
        "endpoints": sorted({bill.serverless_id for bill in bills.serverless} if wanted is None else wanted),
        "by": by.value,
        "rows": [_row_json(row, by, bills) for row in summed(bills.serverless, by)],
        "volumes": [
            {"volume_id": volume_id, "total_usd": usd(amount)}
            for volume_id, amount in _by_volume(bills).items()
        ],
        "serverless_usd": usd(serverless),
        "volumes_usd": usd(volumes),
        "total_usd": usd(serverless + volumes),
    }


def _row_json(row: Spending, by: SpendingGroup, bills: Bills) -> dict[str, Any]:
    named = (
        {"day": row.of}
        if by is SpendingGroup.DAY
        else {"endpoint_id": row.of, "name": bills.names.get(row.of)}
    )
    amounts = {"gpu": row.gpu, "cpu": row.cpu, "disk": row.disk, "fee": row.fee, "total": row.total}
    return {**named, **{f"{name}_usd": usd(amount) for name, amount in amounts.items()}}


def _print(screen: Screen, bills: Bills, by: SpendingGroup) -> None:
    rows = summed(bills.serverless, by)
    if rows:
        columns = (by.value, "GPU", "CPU", "disk", "fee", "total")
        cells = [
            (
                row.of if by is SpendingGroup.DAY else bills.shown(row.of),
                *(dollars(each) if each else "" for each in (row.gpu, row.cpu, row.disk, row.fee)),
                dollars(row.total),
            )
            for row in rows
        ]
        screen.table(columns, cells, right=range(1, len(columns)))
    serverless = total_of(bills.serverless)
    wanted = bills.scope.endpoint_ids
    named = "all endpoints" if wanted is None else " and ".join(bills.shown(each) for each in sorted(wanted))
    span = "today" if bills.days == 1 else f"the last {bills.days} days"
    screen.line(f"{named}: {dollars(serverless)} in {span} (UTC)".replace("in today", "today"))
    for volume_id, amount in _by_volume(bills).items():
        screen.line(f"volume {volume_id}: {dollars(amount)}")
    if bills.volumes:
        screen.line(f"together: {dollars(serverless + total_of(bills.volumes))}")
