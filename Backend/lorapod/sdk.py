"""Imports the RunPod SDK without a second of waiting.

On import the SDK asks py-cpuinfo for the processor's name, which its debugger shows; py-cpuinfo measures the processor
in child processes, and that takes more than a second of every cold start. So while the SDK is imported the question is
answered with nothing, a case that the SDK provides for; afterwards py-cpuinfo is as it was.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


def import_runpod() -> ModuleType:
    """The module `runpod`."""
    import cpuinfo  # type: ignore[import-untyped] # it has no types

    measure = cpuinfo.get_cpu_info

    def unmeasured() -> dict[str, Any]:
        return {}

    cpuinfo.get_cpu_info = unmeasured
    try:
        return importlib.import_module("runpod")
    finally:
        cpuinfo.get_cpu_info = measure
