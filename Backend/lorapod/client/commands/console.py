"""`console`: the worker in a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lorapod.client.commands.session import Connection

DEFAULT_PORT = 8321

#: Where `lorapod endpoint` listens if nothing else is said.
LOCAL_URL = "http://127.0.0.1:8080/v2/local"


def console(
    context: typer.Context,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on this machine; 0 takes one that is free.")
    ] = DEFAULT_PORT,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. On any other than this machine's own, what is sent can be read on the network."
        ),
    ] = "127.0.0.1",
    url: Annotated[
        str | None, typer.Option(help="URL of the endpoint, as `lorapod --url` names it for every command.")
    ] = None,
    endpoint_id: Annotated[str | None, typer.Option("--endpoint", help="Id of a RunPod endpoint.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the console in the browser.")] = False,
    workspace: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Workspace of a local endpoint: read directly, so no worker is asked.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            envvar="LORAPOD_CACHE", file_okay=False, help="Folder of the cache. Default: ~/.cache/lorapod."
        ),
    ] = None,
) -> None:
    """Open the console: trainings, samples and comparisons in a browser. Opening a page wakes no worker."""
    # Imported here, because every command would wait for it.
    from lorapod.client.commands.console_run import run_console

    connection: Connection = context.obj
    if url is not None or endpoint_id is not None:
        connection = replace(connection, url=url, endpoint_id=endpoint_id)
    elif workspace is not None and connection.url is None and connection.endpoint_id is None:
        connection = replace(connection, url=LOCAL_URL)
    run_console(connection, host=host, port=port, open_it=open_it, cache=cache, workspace=workspace)
