"""Put the client's modules, which lie among the worker's in `Backend/`, into the client's wheel and sdist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: What the worker's wheel leaves out: the same list is in its pyproject.toml.
CLIENT = (
    "__init__.py",
    "client",
    "dataset_reader",
    "endpoint",
    "errors.py",
    "folders.py",
    "kinds.py",
    "platform",
    "py.typed",
    "records",
    "volume",
    "wire",
    "workspace.py",
    "yaml_config",
)


class ClientModules(BuildHookInterface):
    """Hatchling calls this for each build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the modules; an editable wheel names their folder instead."""
        if version == "editable":
            return
        root = Path(self.root)
        # An unpacked sdist holds `Backend/`; in the tree it lies beside this folder.
        backend = root / "Backend" if (root / "Backend").is_dir() else root.parent / "Backend"
        prefix = "Backend/" if self.target_name == "sdist" else ""
        for name in CLIENT:
            build_data["force_include"][str(backend / "lorapod" / name)] = f"{prefix}lorapod/{name}"
