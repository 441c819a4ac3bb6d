"""Finds the installation of AI Toolkit."""

from __future__ import annotations

import sys
from pathlib import Path

from lorapod.errors import Unsupported
from lorapod.installations import Installation, ProgramSpec
from lorapod.settings import Settings
from lorapod.workspace import Workspace

#: Its folder in the project's own image.
IMAGE_ROOT = Path("/app/ai-toolkit")

AI_TOOLKIT = ProgramSpec(
    name="AI Toolkit",
    prefix="AI_TOOLKIT",
    entry="run.py",
    version_module="version.py",
    version_name="VERSION",
)


def find_installation(
    path: Path | None, python: Path | None, workspace: Path
) -> tuple[Installation | None, str]:
    """Return the installation to use, and one sentence that says where it is or what is missing.

    Args:
        path: `AI_TOOLKIT_PATH`; None means the image's folder, then `<workspace>/ai-toolkit`.
        python: `AI_TOOLKIT_PYTHON`; None means the virtual environment in its root, else the worker's own Python.
        workspace: the workspace's root.
    """
    places = [path] if path is not None else [IMAGE_ROOT, workspace / "ai-toolkit"]
    return AI_TOOLKIT.find(places, python, otherwise=Path(sys.executable))


def configured_installation(settings: Settings, workspace: Workspace) -> tuple[Installation | None, str]:
    """Find the installation by the settings, as `find_installation` does."""
    return find_installation(settings.ai_toolkit_path, settings.ai_toolkit_python, workspace.root)


def needed_installation(settings: Settings, workspace: Workspace) -> Installation:
    """Return the installation to use.

    Raises:
        Unsupported: it is not installed; the message says what is missing.
    """
    installation, detail = configured_installation(settings, workspace)
    if installation is None:
        raise Unsupported(detail)
    return installation
