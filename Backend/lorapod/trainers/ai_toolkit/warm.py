"""How AI Toolkit is kept warm."""

from __future__ import annotations

from pathlib import Path

from lorapod.installations import Installation
from lorapod.processes.launch import WarmSpec

#: Runs under AI Toolkit's Python, so it is a path here, not a module.
_PRELOAD = Path(__file__).with_name("preload.py")

#: What its `run.py` imports from, and the file it reads variables from.
_SOURCES = ("run.py", "version.py", ".env", "toolkit", "jobs", "extensions", "extensions_built_in")


def warm_spec(installation: Installation) -> WarmSpec:
    """How to have a process ready that has this installation imported."""
    return WarmSpec(
        python=(str(installation.python),),
        cwd=installation.root,
        preload=_PRELOAD,
        sources=tuple(installation.root / name for name in _SOURCES),
    )
