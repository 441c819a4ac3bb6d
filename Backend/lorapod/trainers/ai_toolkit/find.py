"""Where AI Toolkit is installed, told without running any of it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Where the project's own image has it.
IMAGE_ROOT = Path("/app/ai-toolkit")

_VERSION = re.compile(r"""^VERSION\s*=\s*["'](?P<version>[^"'\n]{1,40})["']""", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """One checkout and the Python that runs it."""

    root: Path
    python: Path
    #: As its `version.py` says; None where that says nothing.
    version: str | None

    @property
    def entry(self) -> Path:
        """The script that runs one config."""
        return self.root / "run.py"


def find_installation(
    path: Path | None, python: Path | None, workspace: Path
) -> tuple[Installation | None, str]:
    """The installation to use, and in one sentence where it is or what is missing.

    Args:
        path: `AI_TOOLKIT_PATH`; None: the image's own place, then `<workspace>/ai-toolkit`.
        python: `AI_TOOLKIT_PYTHON`; None: the virtual environment in its root, else the worker's own Python.
        workspace: the workspace's root.
    """
    places: Sequence[Path] = [path] if path is not None else [IMAGE_ROOT, workspace / "ai-toolkit"]
    root = next((place.absolute() for place in places if (place / "run.py").is_file()), None)
    if root is None:
        looked = " or ".join(str(place) for place in places)
        return None, f"AI Toolkit is not at {looked} (no run.py); set AI_TOOLKIT_PATH."
    interpreter = python or _own_python(root)
    if not os.access(interpreter, os.X_OK) or not interpreter.is_file():
        return None, f"There is no Python at {interpreter}; set AI_TOOLKIT_PYTHON."
    # Not resolved: a virtual environment's Python is a link, and finds its packages by where the link lies.
    installation = Installation(root=root, python=interpreter.absolute(), version=_version(root))
    return installation, f"AI Toolkit {installation.version or 'of unknown version'} at {root}."


def _own_python(root: Path) -> Path:
    for folder in ("venv", ".venv"):
        python = root / folder / "bin" / "python"
        if python.is_file():
            return python
    return Path(sys.executable)


def _version(root: Path) -> str | None:
    try:
        text = (root / "version.py").read_text(encoding="utf-8", errors="replace")[:10_000]
    except OSError:
        return None
    found = _VERSION.search(text)
    return found["version"] if found else None
