"""Runs pip for an environment and reads its progress from its output."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from lorapod.errors import InsufficientStorage, UpstreamError, WorkerError
from lorapod.fast.building.steps import BuildStage, BuildStep

_PIN = re.compile(r"^[A-Za-z0-9]")
_COLLECTING = re.compile(r"^(?:Collecting|Requirement already satisfied:|Processing) (?P<what>[^\s;(]+)")
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_NO_NETWORK = ("NewConnectionError", "Name or service not known", "Temporary failure in name resolution")

#: How often the installed packages are counted.
LOOK_S = 2.0

#: How many of pip's last lines are kept for an error message.
_KEPT = 60


def count_pins(lock: str) -> int:
    """Return how many packages a lock names."""
    return sum(1 for line in lock.splitlines() if _PIN.match(line))


def install(python: Path, lock: Path, report: Callable[[BuildStage], None]) -> int:
    """Install what `lock` pins and return the number of packages. Options come from pip's own variables (`PIP_…`).

    Raises:
        InsufficientStorage: the disk became full.
        UpstreamError: the index cannot be reached, or does not have a package.
    """
    packages = count_pins(lock.read_text(encoding="utf-8"))
    argv = [
        *(sys.executable, "-m", "pip", "--python", str(python), "install"),
        *("--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-warn-script-location"),
        *("--requirement", str(lock)),
    ]
    last: deque[str] = deque(maxlen=_KEPT)
    seen = 0
    over = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(python, packages, report, over), name="installed", daemon=True
    )
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pip:
        assert pip.stdout is not None
        for text in pip.stdout:
            line = text.rstrip()
            last.append(line)
            if found := _COLLECTING.match(line):
                seen += 1
                report(
                    BuildStage(
                        step=BuildStep.FETCHING, part=seen / max(1, packages), detail=found["what"][:80]
                    )
                )
            elif line.startswith("Installing collected packages"):
                watcher.start()
    over.set()
    if watcher.ident is not None:
        watcher.join()
    if pip.returncode:
        raise _failure(list(last), pip.returncode)
    return packages


def _watch(python: Path, packages: int, report: Callable[[BuildStage], None], over: threading.Event) -> None:
    """Report how many packages are installed, because pip prints nothing while it unpacks gigabytes."""
    while True:
        there = sum(1 for _ in python.parent.parent.glob("lib/python*/site-packages/*.dist-info"))
        report(
            BuildStage(
                step=BuildStep.INSTALLING,
                part=min(there / max(1, packages), 1.0),
                detail=f"{there} of {packages} packages",
            )
        )
        if over.wait(LOOK_S):
            return


def _failure(lines: list[str], exit_code: int) -> WorkerError:
    text = "\n".join(lines)
    if any(sign in text for sign in _FULL):
        return InsufficientStorage(
            "The disk became full while the environment was installed.",
            hint="Free disk or attach a larger volume, then send `setup_environment`.",
        )
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    why = errors[-1] if errors else next((line for line in reversed(lines) if line), f"exit code {exit_code}")
    network = any(sign in text for sign in _NO_NETWORK)
    return UpstreamError(
        f"pip could not install the environment: {'the package index cannot be reached; ' if network else ''}{why[:300]}",
        hint="Check the network and FAST_LOCK, then send `setup_environment`.",
    )
