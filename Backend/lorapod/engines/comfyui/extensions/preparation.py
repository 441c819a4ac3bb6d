"""Extensions as the worker needs them: installed before it starts ComfyUI, and named in `health` if they are missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lorapod.engines.comfyui.extensions.command import InstallStopped
from lorapod.engines.comfyui.extensions.imports import note_imports
from lorapod.engines.comfyui.extensions.install import ExtensionInstaller
from lorapod.engines.comfyui.extensions.place import ExtensionHome
from lorapod.engines.comfyui.extensions.wanted import parse_wanted
from lorapod.engines.port import GenerationRun, GenerationStopped
from lorapod.installations import Installation
from lorapod.settings import Settings

logger = logging.getLogger(__name__)


def with_extensions(
    installation: Installation, settings: Settings, workspace: Path, run: GenerationRun, *, until_s: float
) -> Installation:
    """Install the extensions that are missing, and return the installation with the Python that has what they need.

    What cannot be installed is logged, and `health` names it.

    Raises:
        GenerationStopped: the generation was stopped meanwhile.
    """
    if not settings.comfyui_nodes:
        return installation
    installer = ExtensionInstaller(
        installation=installation,
        workspace=workspace,
        wanted=settings.comfyui_nodes,
        arguments=settings.comfyui_args,
        registry=settings.comfyui_registry_url,
        environment=settings.installer_environment(),
        until_s=until_s,
        stopped=run.stopped,
        say=run.log,
    )
    try:
        python, _ = installer.ensure()
    except InstallStopped:
        raise GenerationStopped from None
    return replace(installation, python=python)


def note_own_imports(lines: Sequence[str], settings: Settings, root: Path, workspace: Path) -> None:
    """Note which extensions a ComfyUI could not import that this worker has started, from its last lines."""
    if not settings.comfyui_nodes:
        return
    wanted = parse_wanted(settings.comfyui_nodes).extensions
    try:
        note_imports(lines, wanted, ExtensionHome.of(root, workspace))
    except OSError as error:
        logger.warning("cannot note failed imports of extensions", extra={"reason": error.strerror})


def extension_problems(wanted: str, root: Path | None, workspace: Path) -> dict[str, str]:
    """Return what `health` says about extensions that are asked for and missing: a sentence each, by the check's name.

    Args:
        wanted: `COMFYUI_NODES`.
        root: ComfyUI's folder; None: it is not on this machine.
        workspace: the workspace's root.
    """
    parsed = parse_wanted(wanted)
    found = {f"extension:{entry}": sentence for entry, sentence in parsed.refused.items()}
    if root is not None:
        messages = ExtensionHome.of(root, workspace).messages(parsed.extensions)
        found |= {f"extension:{name}": message for name, message in messages.items()}
    elif parsed.extensions:
        found["extensions"] = (
            "COMFYUI_NODES is not installed: ComfyUI's folder is not on this machine. Install the extensions where ComfyUI "
            "runs, or set COMFYUI_PATH."
        )
    return found
