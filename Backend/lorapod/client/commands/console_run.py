"""One run of `console`: the server's parts, the link, and the end."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

import typer

from lorapod.client.commands.session import Connection, ExitCode
from lorapod.client.console.access import ConsoleAccess
from lorapod.client.console.console_doctor import ConsoleDoctor
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.endpoint_calls import EndpointCalls
from lorapod.client.console.folder_volume import FolderVolume
from lorapod.client.console.of_runpod import RunpodEndpoint
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.server import LOOPBACK, ConsoleServer
from lorapod.client.console.sources import VolumeSource
from lorapod.client.errors import VolumeNotNamed
from lorapod.client.project_file import project_path, read_project
from lorapod.client.retrying import RetryPolicy
from lorapod.client.volume import (
    ACCESS_KEY_VARIABLE,
    SECRET_KEY_VARIABLE,
    VOLUME_VARIABLE,
    AsyncVolume,
    Volume,
    VolumeAccess,
)

#: Shorter than a command's: a page says soon that the endpoint is away, and Ctrl-C waits for nothing long.
RETRIES = RetryPolicy(patience_s=4.0)


def run_console(
    connection: Connection, *, host: str, port: int, open_it: bool, cache: Path | None, workspace: Path | None
) -> None:
    """Serve until Ctrl-C.

    Raises:
        typer.Exit: the port cannot be opened.
        typer.BadParameter: no endpoint is named.
    """
    if host not in {LOOPBACK, "localhost", "::1"}:
        _say(
            f"The console listens on {host}: everyone who can read this network's traffic can read what it shows and "
            "take over its session. Use `ssh -L` to reach it from another machine instead."
        )
    with connection.client(RETRIES) as client:
        folder = cache or _default_folder()
        runpod = _runpod(connection)
        parts = ConsoleParts.over(
            EndpointCalls(client),
            DiskCache(folder / "console" / _name_of(client.url)),
            volume=_volume(connection) if workspace is None else VolumeSource(FolderVolume(workspace)),
            prices=None if runpod is None else runpod.prices(),
            bill=None if runpod is None else runpod.bill(),
            doctor=ConsoleDoctor.of_this_machine(client) if runpod is None else runpod.doctor(),
        )
        server: ConsoleServer | None = None

        def show_next_link() -> None:
            if server is not None:
                _say(f"The link was used. For another browser: {server.link}")

        keys = [os.environ.get(name, "") for name in (ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE, "HF_TOKEN")]
        server = ConsoleServer(
            parts,
            access=ConsoleAccess(show_next_link),
            host=host,
            port=port,
            secrets=[connection.api_key or "", *keys],
        )
        try:
            asyncio.run(_serve(server, lambda link: webbrowser.open(link) if open_it else None))
        except OSError as error:
            _say(
                f"The console cannot listen on {host}:{port}: {error.strerror}. Choose another --port, or 0."
            )
            raise typer.Exit(ExitCode.FAILED) from None
        except KeyboardInterrupt:
            _say("The console is closed; what was started on the worker continues.")


def _volume(connection: Connection) -> VolumeSource | None:
    """Return the endpoint's volume, if its keys are in the environment."""
    if connection.url is not None and VOLUME_VARIABLE not in os.environ:
        return None
    try:
        access = VolumeAccess.read(os.environ, read_project(project_path()))
    except (VolumeNotNamed, ValueError):
        return None
    return VolumeSource(AsyncVolume(Volume(access)))


def _runpod(connection: Connection) -> RunpodEndpoint | None:
    """Return the endpoint on RunPod; None: it is another one, or there is no key."""
    endpoint_id, api_key = connection.named_endpoint(), connection.api_key
    if connection.url is not None or endpoint_id is None or api_key is None:
        return None
    return RunpodEndpoint(endpoint_id, api_key, os.environ)


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
