"""What answers show of a training's config, kept beside its record: a look at a volume reads one small file for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.volume.port import VolumeFiles
from lorapod.wire.training_settings import TrainingSettings
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ShownConfig:
    """What answers show of a training's config."""

    settings: TrainingSettings | None = None
    sample_prompts: Sequence[str] = ()


_ADAPTER = TypeAdapter(ShownConfig)


def shown_config_path(workspace: Workspace, process_id: str) -> Path:
    """Return the file of one process."""
    return workspace.process_folder(process_id) / "shown_config.json"


def dump_shown_config(config: ShownConfig) -> bytes:
    """Return the stored form: one JSON object."""
    return _ADAPTER.dump_json(config, exclude_none=True)


def read_shown_config(files: VolumeFiles, workspace: Workspace, process_id: str) -> ShownConfig | None:
    """Return what was kept; None if an earlier version kept nothing, or it is damaged."""
    try:
        return _ADAPTER.validate_json(files.read(shown_config_path(workspace, process_id)).data)
    except (FileNotFoundError, ValidationError):
        return None
