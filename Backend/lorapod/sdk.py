"""Imports the RunPod SDK without a second of waiting.

On import the SDK asks py-cpuinfo for the processor's name, which its debugger shows; py-cpuinfo measures the processor
in child processes, which takes more than a second of every cold start. While the SDK is imported, that question is
answered with nothing, a case that the SDK provides for; afterwards py-cpuinfo is as it was.
"""

from __future__ import annotations

import importlib
from threading import Lock
from types import ModuleType
from typing import Any

_lock = Lock()
_imported: ModuleType | None = None


def import_runpod() -> ModuleType:
    """Return the module `runpod`, imported at the first call; any thread may call this."""
    global _imported  # noqa: PLW0603 - one module for the whole process, as in `sys.modules`
    with _lock:
        if _imported is None:
            _imported = _import_unmeasured()
        return _imported


def _import_unmeasured() -> ModuleType:
    import cpuinfo  # type: ignore[import-untyped] # it has no types

    measure = cpuinfo.get_cpu_info

    def unmeasured() -> dict[str, Any]:
        return {}

    cpuinfo.get_cpu_info = unmeasured
    try:
        return importlib.import_module("runpod")
    finally:
        cpuinfo.get_cpu_info = measure
