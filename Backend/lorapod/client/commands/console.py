"""`console`: the worker in a browser."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from lorapod.client.commands.session import Connection, ExitCode
from lorapod.client.console.access import ConsoleAccess
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.endpoint_calls import EndpointCalls
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.server import LOOPBACK, ConsoleServer

DEFAULT_PORT = 8321


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
    ] = LOOPBACK,
    open_it: Annotated[bool, typer.Option("--open", help="Open the console in the browser.")] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            envvar="LORAPOD_CACHE", file_okay=False, help="Folder of the cache. Default: ~/.cache/lorapod."
        ),
    ] = None,
) -> None:
    """Open the console: trainings, samples and comparisons in a browser. Opening a page wakes no worker."""
    connection: Connection = context.obj
    if host not in {LOOPBACK, "localhost", "::1"}:
        _say(
            f"The console listens on {host}: everyone who can read this network's traffic can read what it shows and "
            "take over its session. Use `ssh -L` to reach it from another machine instead."
        )
    with connection.client() as client:
        folder = cache or _default_folder()
        parts = ConsoleParts.over(EndpointCalls(client), DiskCache(folder / "console" / _name_of(client.url)))
        server: ConsoleServer | None = None

        def show_next_link() -> None:
            if server is not None:
                _say(f"The link was used. For another browser: {server.link}")

        server = ConsoleServer(parts, access=ConsoleAccess(show_next_link), host=host, port=port)
        try:
            asyncio.run(_serve(server, lambda link: webbrowser.open(link) if open_it else None))
        except OSError as error:
            _say(
                f"The console cannot listen on {host}:{port}: {error.strerror}. Choose another --port, or 0."
            )
            raise typer.Exit(ExitCode.FAILED) from None
        except KeyboardInterrupt:
            _say("The console is closed; what was started on the worker continues.")


async def _serve(server: ConsoleServer, when_ready: Callable[[str], object]) -> None:
    async with server:
        # The first line: scripts read it.
        sys.stdout.write(f"{server.link}\n")
        sys.stdout.flush()
        _say("Open this link in a browser; it works once. Press Ctrl-C to close the console.")
        when_ready(server.link)
        await asyncio.Event().wait()


def _name_of(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _default_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "lorapod"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
