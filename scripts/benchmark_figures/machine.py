"""The machine that a benchmark ran on, as far as it matters to a figure."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path


def this_machine() -> str:
    """Return processor, memory, GPU, system, Python and torch in one line."""
    said = [
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        f"{_memory_bytes() / 1e9:.0f} GB RAM",
        _gpu() or "no GPU",
        f"Linux {platform.release().partition('-')[0]}",
        f"Python {platform.python_version()}",
    ]
    try:
        said.append(f"torch {metadata.version('torch')}")
    except metadata.PackageNotFoundError:
        said.append("no torch")
    return ", ".join(said)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpu() -> str | None:
    argv = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip().replace("\n", "; ") or None
