"""Write the lock files: every package that an install resolves to, pinned with `==`.

Run as `python scripts/lock.py` in the project's root: pins that stand stay, what pyproject.toml asks anew is added, what
it no longer asks goes. With `--upgrade` each package is resolved to its newest version of today. `requirements.lock` pins the full install, for people who work
on the project; `FastBackend/requirements.lock` pins the same versions of what a worker needs. Both are without hashes,
index addresses or local build tags (`+cpu`), so that each machine may take its own build of torch at the same version.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ALL = Path("requirements.lock")
ALL_HEADER = "# Made by `make lock` from pyproject.toml (all extras); used by `make venv` as constraints.\n"
#: What is built from this tree has no pin; nor has pip, which comes with each environment.
NOT_PINNED = {"lorapod", "lorapod-client", "pip"}
WORKER = Path("FastBackend/requirements.lock")
WORKER_HEADER = (
    "# Made by `make lock` from pyproject.toml (builtin, redis); what FastBackend installs on the volume.\n"
)


def resolve(target: str, *options: str) -> Sequence[str]:
    """Ask pip what it would install into an empty environment; `name==version` lines, sorted."""
    argv = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", *options]
    answer = subprocess.run([*argv, "--report", "-", target], check=True, stdout=subprocess.PIPE, text=True)
    pins = set()
    for item in json.loads(answer.stdout)["install"]:
        metadata = item["metadata"]
        name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
        if name not in NOT_PINNED:
            pins.add(f"{name}=={metadata['version'].split('+')[0]}")
    return sorted(pins)


def write(path: Path, header: str, pins: Sequence[str]) -> None:
    """One pin a line."""
    path.write_text(header + "".join(f"{pin}\n" for pin in pins), encoding="utf-8")


if __name__ == "__main__":
    standing = () if "--upgrade" in sys.argv[1:] else ("--constraint", str(ALL))
    write(ALL, ALL_HEADER, resolve(".[builtin,redis,parquet,notify,report,dev]", *standing))
    write(WORKER, WORKER_HEADER, resolve(".[builtin,redis]", "--constraint", str(ALL)))
