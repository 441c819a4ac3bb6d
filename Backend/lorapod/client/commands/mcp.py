"""`mcp`: the actions as tools of an assistant."""

from __future__ import annotations

import asyncio
import os
from importlib.util import find_spec
from typing import Annotated

import typer

from lorapod.client.commands.session import Connection, Via
from lorapod.client.volume import SECRET_KEY_VARIABLE


def mcp(
    context: typer.Context,
    *,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Offer only tools that change nothing.")
    ] = False,
) -> None:
    """Serve the actions to an assistant, by the Model Context Protocol on stdin and stdout."""
    if find_spec("mcp") is None:
        raise typer.BadParameter(
            "the protocol's library is not installed: pip install 'lorapod-client[mcp]'.", param_hint="mcp"
        )
    # Imported here, because it is an extra, and every command would wait for it.
    from lorapod.client.assistant.server import AssistantServer

    connection: Connection = context.obj
    secrets = [connection.api_key or "", os.environ.get(SECRET_KEY_VARIABLE, "")]
    with connection.reading_client(Via.AUTO, lambda _: None) as client:
        server = AssistantServer(client, read_only=read_only, secrets=secrets)
        asyncio.run(server.serve())
