"""Write `requirements.lock`: every package that a full install resolves to today, pinned with `==`.

Run as `python scripts/lock.py requirements.lock`. The file is a constraints file without hashes, index addresses
or local build tags (`+cpu`), so that each machine may take its own build of torch at the same version.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

TARGET = ".[builtin,redis,report,dev]"
HEADER = "# Made by `make lock` from pyproject.toml (all extras); used by `make venv` as constraints.\n"


def resolve() -> list[str]:
    """Ask pip what it would install into an empty environment; `name==version` lines, sorted."""
    argv = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
    answer = subprocess.run([*argv, "--report", "-", TARGET], check=True, stdout=subprocess.PIPE, text=True)
    pins = set()
    for item in json.loads(answer.stdout)["install"]:
        metadata = item["metadata"]
        name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
        if name != "lorapod":
            pins.add(f"{name}=={metadata['version'].split('+')[0]}")
    return sorted(pins)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(HEADER + "".join(f"{pin}\n" for pin in resolve()), encoding="utf-8")
