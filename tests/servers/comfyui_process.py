"""The ComfyUI stand-in as an installation that is started."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web
from tests.servers.comfyui import VERSION, ComfyUIStandIn
from tests.servers.ports import free_port

from lorapod.engines.comfyui.server_probe import look_at


def install(root: Path) -> None:
    """Make `root` look like a ComfyUI that is installed: its `main.py` runs the stand-in."""
    (root / "comfy").mkdir(parents=True)
    (root / "comfyui_version.py").write_text(f'__version__ = "{VERSION}"\n')
    here = Path(__file__).parents[2]
    start = f"import sys; sys.path[:0] = [{str(here)!r}]\nfrom tests.servers.comfyui_process import main; main()\n"
    (root / "main.py").write_text(start)


@contextmanager
def running_process(root: Path) -> Iterator[str]:
    """The stand-in in a process of its own, as servers are; yields its address."""
    install(root)
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "main.py", "--listen", "127.0.0.1", "--port", url.rpartition(":")[2]]
    server = subprocess.Popen(command, cwd=root)
    try:
        while look_at(url, 1.0).stats is None:
            assert server.poll() is None
            time.sleep(0.05)
        yield url
    finally:
        server.kill()
        server.wait()


def main() -> None:
    """Serve as the real `main.py` does; `behaviour.json` beside it may have it start late, say something, or end at once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen")
    parser.add_argument("--port", type=int)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--disable-auto-launch", action="store_true")
    parser.add_argument("--verbose", choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
    arguments = parser.parse_args()
    root = Path.cwd()
    behaviour = root / "behaviour.json"
    told = json.loads(behaviour.read_text()) if behaviour.exists() else {}
    time.sleep(told.get("start_s", 0))
    sys.stderr.write(told.get("says", ""))
    if "exit" in told:
        raise SystemExit(told["exit"])
    web.run_app(
        ComfyUIStandIn(root).application(),
        host=arguments.listen,
        port=arguments.port,
        print=None,
        handle_signals=False,
        access_log=None,
    )
