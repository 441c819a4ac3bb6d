"""Find the model that a request names: one rule for trainers and engines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import WorkerError
from lorapod.workspace import Workspace

#: A repository of the hub.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?")


@dataclass(frozen=True, kw_only=True)
class ModelPaths:
    """The places of models: anywhere in the workspace, and in other folders."""

    workspace: Workspace
    #: Folders in which a model's name is looked for; those outside the workspace are the operator's.
    folders: Sequence[Path] = ()

    def find(self, text: str) -> Path | None:
        """Return the real path of a model that may be read; None without a model of that name.

        Args:
            text: absolute, or relative to the workspace, to its `models` or to one of `folders`.
        """
        candidates = [base / text for base in (self.workspace.root, self.workspace.models, *self.folders)]
        # What is not in the workspace is in a model folder, or nowhere.
        with suppress(WorkerError):
            candidates.insert(0, self.workspace.safe_path(text))
        allowed = [self.workspace.root, *(folder.resolve() for folder in self.folders)]
        for candidate in candidates:
            try:
                path = candidate.resolve()
                if path.exists() and any(path.is_relative_to(folder) for folder in allowed):
                    return path
            except (OSError, ValueError, RuntimeError):
                continue
        return None

    def names_own(self, text: str) -> bool:
        """Return whether a text without a model can only mean the workspace: it begins with one of its folders.

        `models/none` reads like a HuggingFace id too, and would fail only when it is loaded.
        """
        first, slash, _ = text.partition("/")
        own = (self.workspace.models, self.workspace.output, self.workspace.training_data)
        return bool(slash) and first in {folder.name for folder in own}


def cached_repository(hub_cache: Path, hub_id: str) -> Path:
    """Return the folder of a Hub repository that was downloaded."""
    return hub_cache / "--".join(["models", *hub_id.split("/")[:2]])
