"""The ComfyUI that is installed beside the worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorapod.installations import Installation, ProgramSpec

#: Its usual places in container images.
IMAGE_ROOTS = (Path("/comfyui"), Path("/app/ComfyUI"))
#: Its usual Python there.
IMAGE_PYTHON = Path("/opt/venv/bin/python")

COMFYUI = ProgramSpec(
    name="ComfyUI",
    prefix="COMFYUI",
    entry="main.py",
    folder="comfy",
    version_module="comfyui_version.py",
    version_name="__version__",
)


def find_installation(
    path: Path | None, python: Path | None, workspace: Path
) -> tuple[Installation | None, str]:
    """Return the installation to use, and one sentence: where it is, or what is missing.

    Args:
        path: `COMFYUI_PATH`; None: an image's usual places, then `<workspace>/ComfyUI`.
        python: `COMFYUI_PYTHON`; None: the virtual environment in its root, else the image's.
        workspace: the workspace's root.
    """
    return COMFYUI.find(_places(path, workspace), python, otherwise=IMAGE_PYTHON)


def find_root(path: Path | None, workspace: Path) -> Path | None:
    """Return the installation's folder, whether or not there is a Python for it."""
    return COMFYUI.find_root(_places(path, workspace))


def _places(path: Path | None, workspace: Path) -> Sequence[Path]:
    return [path] if path is not None else [*IMAGE_ROOTS, workspace / "ComfyUI"]
