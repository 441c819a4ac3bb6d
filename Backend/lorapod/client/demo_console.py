"""The console beside the demo: it shows the training from its first step, and the results until Ctrl-C."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lorapod.client.client import Client
from lorapod.client.console.access import ConsoleAccess
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.endpoint_calls import EndpointCalls
from lorapod.client.console.folder_volume import FolderVolume
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.server import ConsoleServer
from lorapod.client.console.serving import serving_console
from lorapod.client.console.sources import VolumeSource


@contextmanager
def demo_console(url: str, out: Path) -> Iterator[ConsoleServer]:
    """Serve the console of the demo's endpoint, with its workspace, on a free port; open it in a browser.

    Args:
        url: the endpoint's.
        out: the demo's folder, which has the workspace and gets the console's cache.
    """
    parts = ConsoleParts.over(
        EndpointCalls(Client(url)),
        DiskCache(out / "console"),
        volume=VolumeSource(FolderVolume(out / "workspace")),
    )
    server = ConsoleServer(parts, access=ConsoleAccess())
    with serving_console(server):
        webbrowser.open(server.link)
        yield server


def wait_for_interrupt() -> None:
    """Wait for Ctrl-C."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
