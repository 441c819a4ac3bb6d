from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.port import HeldOut, TrainingPlan, TrainingRequest
from lorapod.workspace import Workspace

PROCESS_ID = "train_0123456789ab"

CONFIG: dict[str, Any] = {
    "job": "extension",
    "config": {
        "name": "my lora",
        "process": [
            {
                "type": "sd_trainer",
                "training_folder": "output",
                "device": "cuda:0",
                "trigger_word": "ohwx",
                "network": {"type": "lora", "linear": 16, "linear_alpha": 16},
                "save": {"dtype": "float16", "save_every": 250, "max_step_saves_to_keep": 4},
                "datasets": [
                    {"folder_path": "/path/to/images", "caption_ext": "txt", "resolution": [512, 768]}
                ],
                "train": {"batch_size": 1, "steps": 2000, "lr": 1e-4, "optimizer": "adamw8bit"}
                | {"noise_scheduler": "flowmatch"},
                "model": {"name_or_path": "org/model", "arch": "flux", "quantize": True},
                "sample": {"sample_every": 250, "prompts": ["a [trigger]"], "neg": ""},
            }
        ],
    },
    "meta": {"name": "[name]", "version": "1.0"},
}

Prepare = Callable[..., TrainingPlan]


@pytest.fixture
def sent() -> dict[str, Any]:
    """A config as a caller sends it; each test's own."""
    return copy.deepcopy(CONFIG)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "workspace")
    dataset = workspace.training_data / "cats"
    dataset.mkdir()
    Image.new("RGB", (8, 8)).save(dataset / "1.png")
    return workspace


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    """What looks like an installation; nothing of it can run."""
    root = tmp_path / "ai-toolkit"
    root.mkdir()
    (root / "run.py").write_text("raise SystemExit\n")
    (root / "version.py").write_text('VERSION = "0.12.26"\n')
    return root


@pytest.fixture
def trainer(workspace: Workspace, toolkit: Path) -> AIToolkitTrainer:
    settings = Settings(ai_toolkit_path=toolkit, ai_toolkit_python=Path(sys.executable))
    return AIToolkitTrainer(settings=settings, workspace=workspace)


@pytest.fixture
def prepare(trainer: AIToolkitTrainer, workspace: Workspace) -> Prepare:
    """Prepares `CONFIG`, changed by `{"path.to.key": value}` below its process; `...` removes a key."""

    def prepared(
        changes: Mapping[str, Any] | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        dataset: str | None = "cats",
        name: str | None = None,
        dataset_ready: bool = True,
        strict: bool = True,
        held_out: HeldOut | None = None,
    ) -> TrainingPlan:
        sent = copy.deepcopy(dict(config or CONFIG))
        for path, value in (changes or {}).items():
            *parents, key = path.split(".")
            section = sent["config"]["process"][0]
            for parent in parents:
                section = section[int(parent)] if parent.isdigit() else section[parent]
            if value is ...:
                del section[key]
            else:
                section[key] = value
        return trainer.prepare(
            TrainingRequest(
                process_id=PROCESS_ID,
                config=sent,
                dataset=None if dataset is None else workspace.training_data / dataset,
                training_folder=workspace.output_folder(PROCESS_ID),
                scratch=workspace.root.parent / "local disk",  # as in life, outside the workspace
                workspace=workspace.root,
                name=name,
                dataset_ready=dataset_ready,
                strict=strict,
                held_out=held_out,
            )
        )

    return prepared


@pytest.fixture
def refused(prepare: Prepare) -> Callable[..., dict[str, str]]:
    """Prepares what must be refused; answers each field's sentence."""

    def problems(*args: Any, **named: Any) -> dict[str, str]:
        with pytest.raises(InvalidInput) as caught:
            prepare(*args, **named)
        assert caught.value.details
        return {
            detail["field"].removeprefix("config.process[0]."): detail["error"]
            for detail in caught.value.details
        }

    return problems
