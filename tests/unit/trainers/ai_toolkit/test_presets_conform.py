"""Every preset in every tier is a config that the checks before a start take as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorapod.trainers import presets
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.presets import build_config
from lorapod.wire.knobs import TrainKnobs
from lorapod.workspace import Workspace

Prepare = Callable[..., TrainingPlan]

PRESETS = [
    (name, tier.name)
    for name in presets.names()
    if "ai-toolkit" in presets.get(name).trainers
    for tier in presets.get(name).tiers
]


@pytest.fixture
def image(workspace: Workspace) -> Path:
    path = workspace.training_data / "cats" / "1.png"
    Image.new("RGB", (64, 64)).save(path)
    return path


@pytest.mark.parametrize(("name", "tier"), PRESETS)
def test_presets(prepare: Prepare, image: Path, name: str, tier: str) -> None:
    preset = presets.get(name)
    pairs = "pairs" in preset.learns
    control = f" --ctrl_img {image}" if preset.samples_need_control else ""
    knobs = TrainKnobs(
        trigger_word="ohwx",
        tier=tier,
        sample_prompts=[f"a cat{control}"],
        control=["cats"] if pairs else None,
    )
    config: dict[str, Any] = {**build_config(name, knobs)}
    assert prepare(config=config, name="mine").warnings == ()
