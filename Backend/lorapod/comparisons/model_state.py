"""What of a base model's files shows that they were replaced."""

from __future__ import annotations

from pathlib import Path

from lorapod.folders import files_below
from lorapod.model_paths import ModelPaths


def model_state(model: str | None, paths: ModelPaths) -> str:
    """Return sizes and times of a model's files; empty for a model that is not a path here, such as a Hub id.

    Raises:
        OSError: its folder cannot be read.
    """
    path = paths.find(model) if model is not None else None
    if path is None:
        return ""
    files = [path] if path.is_file() else [Path(entry.path) for entry in files_below(path)]
    states = ((file, file.stat()) for file in files)
    return " ".join(f"{file.name}:{state.st_size}:{state.st_mtime_ns}" for file, state in states)
