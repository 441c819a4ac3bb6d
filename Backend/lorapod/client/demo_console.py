"""The console beside the demo: its address, the proof that it answers, and how to open it again."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TextIO
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

from lorapod.client.client import Client
from lorapod.client.console.access import ConsoleAccess
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.endpoint_calls import EndpointCalls
from lorapod.client.console.folder_volume import FolderVolume
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.server import ConsoleServer
from lorapod.client.console.serving import serving_console
from lorapod.client.console.sources import VolumeSource

#: The console is on this machine.
_ANSWER_S = 20.0


@contextmanager
def demo_console(
    url: str, out: Path, *, on_new_link: Callable[[], None] | None = None
) -> Iterator[ConsoleServer]:
    """Serve the console of the demo's endpoint, with its workspace, on a free port.

    Args:
        url: the endpoint's.
        out: the demo's folder, which has the workspace and gets the console's cache.
        on_new_link: called when a link was used and the next one is there.
    """
    (out / "workspace").mkdir(parents=True, exist_ok=True)
    parts = ConsoleParts.over(
        EndpointCalls(Client(url)),
        DiskCache(out / "console"),
        volume=VolumeSource(FolderVolume(out / "workspace")),
    )
    server = ConsoleServer(parts, access=ConsoleAccess(on_new_link))
    with serving_console(server):
        yield server


def stays_open(
    *,
    wanted: bool | None,
    streams: tuple[TextIO, TextIO] | None = None,
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Return whether the console stays open after the demo until Ctrl-C.

    Args:
        wanted: what the command line says; None: only if a person is there to press Ctrl-C, at a terminal.
        streams: what is read and written; None: stdin and stdout.
        environment: its `CI` says that no person is there; None: this process's.
    """
    if wanted is not None:
        return wanted
    here = os.environ if environment is None else environment
    return not here.get("CI") and all(stream.isatty() for stream in streams or (sys.stdin, sys.stdout))


def open_as_browser(server: ConsoleServer) -> int:
    """Open the console by its link as a browser does; return the size of its page in bytes.

    The link is used up then; the server has the next one.

    Raises:
        OSError: it does not answer, or refuses.
    """
    browser = build_opener(HTTPCookieProcessor(CookieJar()), ProxyHandler({}))
    with browser.open(server.link, timeout=_ANSWER_S):
        pass
    with browser.open(server.base_url, timeout=_ANSWER_S) as page:
        return len(page.read())


def command_to_open(workspace: Path) -> str:
    """Return the command that opens the console of a workspace again, as it can be typed in this folder."""
    command = Path(sys.executable).with_name("lorapod")
    return shlex.join([_shown(command), "console", "--open", "--workspace", _shown(workspace)])


def wait_for_interrupt() -> None:
    """Wait for Ctrl-C."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _shown(path: Path) -> str:
    """Return a path below the current folder as relative to it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
