"""`doctor`: what is wrong with the endpoint, and the command that mends it."""

from __future__ import annotations

from typing import Annotated

import typer

from lorapod.client.commands.session import AsJson


def doctor(
    context: typer.Context,
    *,
    endpoint_id: Annotated[
        str | None,
        typer.Option("--endpoint", help="Id of the endpoint. Default: the one of lorapod.toml."),
    ] = None,
    fix_all: Annotated[
        bool,
        typer.Option("--fix", help="Change what is safe to change: workers, CUDA, job timeout, volume."),
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Look at the endpoint of this machine instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong with the endpoint, and name the command that mends it; exit with 1 if something is."""
    # Imported here, because every command would wait for it.
    from lorapod.client.commands.doctor_run import look_at_endpoint, look_at_this_machine

    if not local:
        look_at_endpoint(context, endpoint_id, fix_all=fix_all, as_json=as_json)
        return
    if fix_all:
        raise typer.BadParameter("on this machine there is nothing to change.", param_hint="--fix")
    look_at_this_machine(context, as_json=as_json)
