"""The ComfyUI stand-in as an installation that is started."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from aiohttp import web
from tests.servers.comfyui import VERSION, ComfyUIStandIn


def install(root: Path) -> None:
    """Make `root` look like a ComfyUI that is installed: its `main.py` runs the stand-in."""
    (root / "comfy").mkdir(parents=True)
    (root / "comfyui_version.py").write_text(f'__version__ = "{VERSION}"\n')
    here = Path(__file__).parents[2]
    start = f"import sys; sys.path[:0] = [{str(here)!r}]\nfrom tests.servers.comfyui_process import main; main()\n"
    (root / "main.py").write_text(start)


def main() -> None:
    """Serve as the real `main.py` does; `behaviour.json` beside it may have it start late, or end at once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen")
    parser.add_argument("--port", type=int)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--disable-auto-launch", action="store_true")
    arguments = parser.parse_args()
    root = Path.cwd()
    behaviour = root / "behaviour.json"
    told = json.loads(behaviour.read_text()) if behaviour.exists() else {}
    time.sleep(told.get("start_s", 0))
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
