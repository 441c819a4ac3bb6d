"""Where ComfyUI is installed, told without running any of it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Where images of this kind have it.
IMAGE_ROOTS = (Path("/comfyui"), Path("/app/ComfyUI"))

_VERSION = re.compile(r"""^__version__\s*=\s*["'](?P<version>[^"'\n]{1,40})["']""", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """One checkout and the Python that runs it."""

    root: Path
    python: Path
    #: As its `comfyui_version.py` says; None where that says nothing.
    version: str | None

    @property
    def entry(self) -> Path:
        """The script that runs the server."""
        return self.root / "main.py"


def find_installation(
    path: Path | None, python: Path | None, workspace: Path
) -> tuple[Installation | None, str]:
    """The installation to use, and in one sentence where it is or what is missing.

    Args:
        path: `COMFYUI_PATH`; None: an image's usual places, then `<workspace>/ComfyUI`.
        python: `COMFYUI_PYTHON`; None: the virtual environment in its root, else the image's.
        workspace: the workspace's root.
    """
    root = find_root(path, workspace)
    if root is None:
        looked = " or ".join(str(place) for place in _places(path, workspace))
        return None, f"ComfyUI is not at {looked} (no main.py beside comfy/); set COMFYUI_PATH."
    interpreter = python or _own_python(root)
    if interpreter is None or not os.access(interpreter, os.X_OK) or not interpreter.is_file():
        shown = interpreter or root / "venv" / "bin" / "python"
        return None, f"There is no Python for ComfyUI at {shown}; set COMFYUI_PYTHON."
    # Not resolved: a virtual environment's Python is a link, and finds its packages by where the link lies.
    found = Installation(root=root, python=interpreter.absolute(), version=_version(root))
    return found, f"ComfyUI {found.version or 'of unknown version'} at {root}."


def find_root(path: Path | None, workspace: Path) -> Path | None:
    """The installation's folder, whether or not there is a Python for it."""
    return next((place.absolute() for place in _places(path, workspace) if _is_comfyui(place)), None)


def _places(path: Path | None, workspace: Path) -> Sequence[Path]:
    return [path] if path is not None else [*IMAGE_ROOTS, workspace / "ComfyUI"]


def _is_comfyui(place: Path) -> bool:
    return (place / "main.py").is_file() and (place / "comfy").is_dir()


def _own_python(root: Path) -> Path | None:
    places = [root / folder / "bin" / "python" for folder in ("venv", ".venv")]
    return next((place for place in [*places, Path("/opt/venv/bin/python")] if place.is_file()), None)


def _version(root: Path) -> str | None:
    try:
        text = (root / "comfyui_version.py").read_text(encoding="utf-8", errors="replace")[:10_000]
    except OSError:
        return None
    found = _VERSION.search(text)
    return found["version"] if found else None
