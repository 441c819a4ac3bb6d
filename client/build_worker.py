"""Build the worker so that it depends on the client of the same tree and version.

The build backend of the `pyproject.toml` above: hatchling, without its calls for metadata alone. Those know nothing of
build hooks, so that an installer that uses them would not see the dependency that the hook adds.

Wheels for an index name the client by its version: `LORAPOD_RELEASE=1 pip wheel --no-deps . ./client`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.build import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]


class ClientDependency(BuildHookInterface):
    """Hatchling calls this for each wheel of the worker."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the dependency: on this folder, or for a release to an index on the version."""
        if os.environ.get("LORAPOD_RELEASE"):
            requirement = f"lorapod-client=={self.metadata.version}"
        else:
            folder = Path(self.root, "client", "editable" if version == "editable" else "")
            requirement = f"lorapod-client @ {folder.as_uri()}"
        build_data["dependencies"].append(requirement)
