"""The Python that runs ComfyUI: what it has, and an environment on the volume that adds to it.

A ComfyUI of the image has its packages in the image, where nothing that is installed outlives the container. So what
extensions need goes into an environment on the volume that sees the image's packages, and adds or replaces its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.engines.comfyui.extensions.command import CommandRunner
from lorapod.errors import UpstreamError

#: Packages that no extension may change: they fit each other, the GPU's driver and ComfyUI.
PINNED = ("torch", "torchvision", "torchaudio", "xformers", "triton")

_LOOK = """
import importlib.metadata, json, sys
print(json.dumps({
    "python": sys.version.split()[0],
    "folders": [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))],
    "packages": {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()},
}))
"""


@dataclass(frozen=True, kw_only=True)
class ComfyEnvironment:
    """What one Python has."""

    python: Path
    version: str
    #: Where its packages are.
    folders: Sequence[str]
    #: Versions by names.
    packages: Mapping[str, str]

    @property
    def key(self) -> str:
        """Return a short text that another image, or the same one with other packages, does not have."""
        text = json.dumps([self.version, sorted(self.packages.items()), list(self.folders)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def constraints(self) -> str:
        """Return the versions that must stay, as pip reads them."""
        kept = {name.lower(): version for name, version in self.packages.items() if name.lower() in PINNED}
        return "".join(f"{name}=={version}\n" for name, version in sorted(kept.items()))


def look_at_environment(python: Path, runner: CommandRunner) -> ComfyEnvironment:
    """Ask a Python what it has.

    Raises:
        UpstreamError, WorkerTimeout, OSError: it does not run.
    """
    lines = runner.run([str(python), "-c", _LOOK], cwd=Path("/"))
    try:
        seen = json.loads(lines[-1])
    except (LookupError, ValueError) as error:
        raise UpstreamError(f"{python} does not say what is installed") from error
    return ComfyEnvironment(
        python=python, version=seen["python"], folders=seen["folders"], packages=seen["packages"]
    )


def make_overlay(base: ComfyEnvironment, folder: Path, runner: CommandRunner) -> Path:
    """Return the Python of an environment in `folder` that adds to `base`; make it if it is not there.

    Raises:
        UpstreamError, WorkerTimeout, OSError: it cannot be made.
    """
    python = folder / "bin/python"
    mark = folder / "complete"
    if not mark.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        runner.run(
            [str(base.python), "-m", "venv", "--without-pip", "--clear", str(folder)], cwd=folder.parent
        )
        [packages] = folder.glob("lib/python*/site-packages")
        # Appended, so packages of this environment come first; with what the .pth files there add themselves.
        lines = "".join(f"import site; site.addsitedir({str(path)!r})\n" for path in base.folders)
        write_atomically(packages / "_comfyui.pth", lines.encode())
        write_atomically(mark, b"")
    return python
