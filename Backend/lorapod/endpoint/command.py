"""`lorapod endpoint`: run a local endpoint until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer

from lorapod.endpoint.config import EndpointConfig
from lorapod.endpoint.server import LocalEndpoint

DEFAULT_PORT = 8080


def endpoint(
    *,
    command: Annotated[
        list[str], typer.Argument(metavar="CMD...", help="Command that starts a worker, after --.")
    ],
    workers: Annotated[int, typer.Option(min=1, help="Most workers that may run at the same time.")] = 1,
    min_workers: Annotated[
        int | None,
        typer.Option(min=0, help="Workers that always run. Default: all, or none if --idle-timeout is set."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    idle_timeout: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Stop a worker this many seconds after its last job (RunPod: 5). Default: never."
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="LORAPOD_API_KEY",
            help="Key that callers must send as 'Authorization: Bearer'. Set the variable instead of the option: "
            "other users of this machine can read a command line.",
        ),
    ] = None,
    log_dir: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Write each worker's output to a file here."),
    ] = None,
) -> None:
    """Serve RunPod's queue API on this machine, with real SDK workers behind it.

    Example: lorapod endpoint --workers 1 -- python Backend/rp_handler.py
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        config = EndpointConfig(
            command=command,
            workers=workers,
            min_workers=min_workers,
            idle_timeout_s=idle_timeout,
            host=host,
            port=port,
            api_key=api_key,
            log_folder=log_dir,
        )
        asyncio.run(_serve(config))
    except (OSError, ValueError) as error:
        typer.echo(f"lorapod endpoint: {error}", err=True)
        raise typer.Exit(1) from error


async def _serve(config: EndpointConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with LocalEndpoint(config) as local:
        typer.echo(_welcome(local), err=True)
        await stop.wait()
        typer.echo(f"stopping the workers (at most {config.stop_grace_s:g} s)", err=True)


def _welcome(local: LocalEndpoint) -> str:
    key = "" if local.config.api_key is None else ' -H "Authorization: Bearer $LORAPOD_API_KEY"'
    return (
        f"endpoint: {local.url}\n"
        f"try:      curl{key} -H 'Content-Type: application/json' "
        f'-d \'{{"input": {{"type": "ping"}}}}\' {local.url}/runsync\n'
        f"health:   curl{key} {local.url}/health\n"
        f"Press Ctrl-C to stop it."
    )
