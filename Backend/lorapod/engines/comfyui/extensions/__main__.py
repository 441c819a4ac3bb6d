"""`python -m lorapod.engines.comfyui.extensions [--in-place] [NAME…]`: install extensions of ComfyUI.

Without names it installs what `COMFYUI_NODES` asks for, and prints the Python that runs ComfyUI with it. With
`--in-place`, for images that are being built, everything goes into ComfyUI's own folder and environment, and a failure
ends it with 1. With `--imports` it installs nothing, but reads on stdin what ComfyUI wrote when it started, and notes which
extensions could not be imported.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from lorapod.engines.comfyui.extensions.imports import note_imports
from lorapod.engines.comfyui.extensions.install import ExtensionInstaller
from lorapod.engines.comfyui.extensions.place import ExtensionHome
from lorapod.engines.comfyui.extensions.wanted import parse_wanted
from lorapod.engines.comfyui.server import find_installation
from lorapod.settings import Settings

_IN_PLACE = "--in-place"
_IMPORTS = "--imports"


def main(argv: Sequence[str]) -> int:
    """Install, and say on stderr what is done."""
    settings = Settings()
    in_place = _IN_PLACE in argv
    names = " ".join(each for each in argv if each != _IN_PLACE)
    installation, detail = find_installation(
        settings.comfyui_path, settings.comfyui_python, settings.workspace_root
    )
    if installation is None:
        _say(detail)
        return 1
    if _IMPORTS in argv:
        home = ExtensionHome.of(installation.root, settings.workspace_root)
        for message in note_imports(sys.stdin, parse_wanted(settings.comfyui_nodes).extensions, home):
            _say(message)
        return 0
    installer = ExtensionInstaller(
        installation=installation,
        workspace=settings.workspace_root,
        wanted=names or settings.comfyui_nodes,
        arguments=settings.comfyui_args,
        registry=settings.comfyui_registry_url,
        environment=settings.installer_environment(),
        until_s=time.monotonic() + settings.startup_timeout,
        say=_say,
        in_place=in_place,
    )
    python, failures = installer.ensure()
    sys.stdout.write(f"{python}\n")
    return 1 if failures and in_place else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
