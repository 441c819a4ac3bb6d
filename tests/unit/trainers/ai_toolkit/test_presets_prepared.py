"""Every preset through all checks that AI Toolkit's configs get before a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.trainers.ai_toolkit.conftest import PROCESS_ID

from lorapod.trainers import presets
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.port import TrainingPlan, TrainingRequest
from lorapod.trainers.presets import build_config
from lorapod.wire.knobs import TrainKnobs
from lorapod.wire.presets import Learns
from lorapod.wire.validation import parse
from lorapod.workspace import Workspace


@pytest.fixture
def data(workspace: Workspace) -> Path:
    """Images, clips by their names, and the images before them."""
    for name in ("after", "before"):
        folder = workspace.training_data / name
        folder.mkdir()
        for number in range(4):
            Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
            (folder / f"{number}.txt").write_text("a cat")
    (workspace.training_data / "after" / "9.mp4").write_bytes(b"\0" * 64)
    return workspace.training_data / "after"


def prepared(
    trainer: AIToolkitTrainer, workspace: Workspace, data: Path, name: str, **knobs: Any
) -> TrainingPlan:
    if presets.get(name).learns == (Learns.PAIRS,):
        knobs.setdefault("control", ["before"])
    return trainer.prepare(
        TrainingRequest(
            process_id=PROCESS_ID,
            config=build_config(name, parse(TrainKnobs, knobs)),
            dataset=None if "datasets" in knobs else data,
            training_folder=workspace.output_folder(PROCESS_ID),
            scratch=workspace.root.parent / "local disk",
            workspace=workspace.root,
            name="cat",
        )
    )


@pytest.mark.parametrize("name", presets.names())
def test_each_tier_passes_without_a_warning(
    name: str, trainer: AIToolkitTrainer, workspace: Workspace, data: Path
) -> None:
    for tier in presets.get(name).tiers:
        plan = prepared(trainer, workspace, data, name, tier=tier.name, trigger_word="ohwx")
        assert list(plan.warnings) == [], tier.name


@pytest.mark.parametrize(
    "knobs",
    [
        {"scheduler": "linear"},
        {"scheduler": "constant_with_warmup"},
        {"scheduler": "cosine_with_restarts"},
        {"network": {"type": "lokr"}},
        {"network": {"type": "lokr", "rank": 8, "alpha": 4.0}},
        {"network": {"type": "dora", "rank": 8}},
        {"quantize": "uint4", "low_vram": True},
        {"quantize": False, "ema": 0.95, "timestep_type": "shift"},
        {"optimizer": "automagic3", "gradient_accumulation": 4, "caption_dropout": 0.0},
        {"control": ["before"]},
        {"datasets": [{"training_name": "after", "repeats": 2}, {"training_name": "before", "is_reg": True}]},
    ],
)
def test_every_knob_passes(
    knobs: dict[str, Any], trainer: AIToolkitTrainer, workspace: Workspace, data: Path
) -> None:
    assert list(prepared(trainer, workspace, data, "flux2-klein-4b", **knobs).warnings) == []
