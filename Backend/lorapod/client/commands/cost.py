"""`cost`: what RunPod billed for an endpoint and its volume."""

from __future__ import annotations

from typing import Annotated

import typer

from lorapod.client.commands.session import AsJson
from lorapod.client.money.groups import SpendingGroup


def cost(
    context: typer.Context,
    *,
    endpoint_id: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            help="Id of the endpoint. Default: the endpoints of lorapod.toml, or all endpoints of the account.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Count all endpoints of the account.")] = False,
    days: Annotated[
        int, typer.Option(min=1, max=366, help="How many days, today included; days begin at midnight UTC.")
    ] = 30,
    by: Annotated[SpendingGroup, typer.Option(help="Print a row for each day, or for each endpoint.")] = (
        SpendingGroup.DAY
    ),
    as_json: AsJson = False,
) -> None:
    """Show what RunPod billed for the endpoint and its volume."""
    if everything and endpoint_id is not None:
        raise typer.BadParameter("name one endpoint or all, not both.", param_hint="--all")
    # Imported here, because every command would wait for it.
    from lorapod.client.commands.cost_run import show_cost

    show_cost(context, endpoint_id, everything=everything, days=days, by=by, as_json=as_json)
