"""AI Toolkit's own example configs, and those that its interface makes: trainings pass unchanged in meaning, the others are refused with what serves instead."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.trainers.ai_toolkit.conftest import PROCESS_ID

from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.ai_toolkit.schema import toolkit_schema
from lorapod.trainers.port import TrainingPlan, TrainingRequest
from lorapod.weights import SUFFIX
from lorapod.workspace import Workspace
from lorapod.yaml_config.text import parse_config
from toolkit_facts.checkout import Checkout
from toolkit_facts.interface import default_config

ROOT = Path(os.environ.get("AI_TOOLKIT_PATH", "/nonexistent"))

#: Examples that train nothing, with words of the advice.
OTHERS = {
    "extract.example.yml": "this worker has no action for it",
    "generate.example.yaml": "use the action `generate`",
    "mod_lora_scale.yaml": "this worker has no action for it",
    "config.example.yaml": "does not train",
}
#: An example whose own YAML is broken: a quote is not closed.
BROKEN = "train_lora_omnigen2_24gb.yaml"

EXAMPLES = sorted(
    path
    for pattern in ("config/examples/**/*.y*ml", "extensions*/*/config/*.y*ml")
    for path in ROOT.glob(pattern)
)

pytestmark = [
    pytest.mark.ai_toolkit,
    pytest.mark.skipif(not (ROOT / "run.py").is_file(), reason="no AI Toolkit: set AI_TOOLKIT_PATH"),
]


@pytest.fixture
def trainer(workspace: Workspace) -> AIToolkitTrainer:
    settings = Settings(ai_toolkit_path=ROOT, ai_toolkit_python=Path(sys.executable))
    return AIToolkitTrainer(settings=settings, workspace=workspace)


@pytest.fixture
def places(workspace: Workspace) -> dict[str, str]:
    """What stands for the examples' placeholders: a folder of images and a file of each kind."""
    image = workspace.training_data / "cats" / "1.png"
    Image.new("RGB", (64, 64)).save(image)
    weights = workspace.models / f"model{SUFFIX}"
    weights.write_bytes((2).to_bytes(8, "little") + b"{}")
    return {"folder": str(image.parent), "image": str(image), "weights": str(weights)}


def filled(value: Any, key: str, places: dict[str, str]) -> Any:
    """Return a config with real paths for the placeholders of its author."""
    if isinstance(value, dict):
        return {inner: filled(part, inner, places) for inner, part in value.items()}
    if isinstance(value, list):
        return [filled(part, key, places) for part in value]
    return _filled_text(value, key, places) if isinstance(value, str) else value


def _filled_text(text: str, key: str, places: dict[str, str]) -> str:
    if "--ctrl_img /path/" in text:
        return text.partition("--ctrl_img ")[0] + f"--ctrl_img {places['image']}"
    if not text.startswith(("/path/", "/local/", "/home/", "/mnt/")):
        return text
    if key == "log_dir":
        return "tensorboard"
    ending = Path(text).suffix
    return places["weights" if ending == SUFFIX else "image" if ending else "folder"]


def prepared(trainer: AIToolkitTrainer, workspace: Workspace, config: dict[str, Any]) -> TrainingPlan:
    return trainer.prepare(
        TrainingRequest(
            process_id=PROCESS_ID,
            config=config,
            dataset=workspace.training_data / "cats",
            training_folder=workspace.output_folder(PROCESS_ID),
            scratch=workspace.root.parent / "local disk",
            workspace=workspace.root,
        )
    )


def differences(sent: Any, final: Any, place: str) -> Iterator[str]:
    """Yield the places at which two configs differ."""
    if isinstance(sent, dict) and isinstance(final, dict):
        for key in sorted({*sent, *final}):
            yield from differences(sent.get(key, ...), final.get(key, ...), f"{place}.{key}".lstrip("."))
    elif isinstance(sent, list) and isinstance(final, list) and len(sent) == len(final):
        for number, (one, other) in enumerate(zip(sent, final, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")
    elif (sent, type(sent)) != (final, type(final)):
        yield place


#: What the worker sets in every config.
SET = (
    "type",
    "training_folder",
    "sqlite_db_path",
    "logging",
    "datasets[0].folder_path",
    "datasets",
    "log_dir",
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: "/".join(path.relative_to(ROOT).parts[-2:]))
def test_examples(
    path: Path, trainer: AIToolkitTrainer, workspace: Workspace, places: dict[str, str]
) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == BROKEN:
        with pytest.raises(InvalidInput, match="the quote that begins in line 64 is not closed"):
            parse_config(text)
        text = text.replace('"OmniGen2/OmniGen2\n', '"OmniGen2/OmniGen2"\n')
    config = filled(parse_config(text), "", places)
    if path.name in OTHERS:
        with pytest.raises(InvalidInput) as caught:
            prepared(trainer, workspace, config)
        (detail,) = caught.value.details
        assert OTHERS[path.name] in detail["error"]
        return
    plan = prepared(trainer, workspace, copy.deepcopy(config))
    assert len(plan.warnings) == (1 if config["job"] == "train" else 0)
    changed = set(differences(config, plan.config, ""))
    allowed = {f"config.process[0].{key}" for key in SET} | {"config.training_folder", "config.log_dir"}
    changed = {place for place in changed if not place.startswith("config.process[0].logging.")}
    assert changed <= allowed


def made_in_the_interface(name: str, places: dict[str, str]) -> dict[str, Any]:
    """Return the config with which AI Toolkit's form begins, after one of its models was chosen."""
    config = default_config(Checkout(ROOT))
    process = config["config"]["process"][0]
    process["train"]["bypass_guidance_embedding"] = False  # as the form sets it with another model
    process["sample"] = {"width": 1024, "samples": [{"prompt": "a cat", "ctrl_img": places["image"]}]}
    process["model"]["arch"] = name
    for key, value in toolkit_schema().models[name].defaults.items():
        *parents, last = key.replace("datasets[x]", "datasets.0").split(".")
        section = process
        for parent in parents:
            section = section[int(parent)] if parent.isdigit() else section.setdefault(parent, {})
        section[last] = value
    if toolkit_schema().models[name].group == "instruction":
        process["datasets"][0]["control_path"] = places["folder"]
    return config


@pytest.mark.parametrize("name", toolkit_schema().models)
def test_configs_of_the_interface(
    name: str, trainer: AIToolkitTrainer, workspace: Workspace, places: dict[str, str]
) -> None:
    if toolkit_schema().models[name].group == "audio":
        (workspace.training_data / "cats" / "1.mp3").write_bytes(b"")
    assert prepared(trainer, workspace, made_in_the_interface(name, places)).warnings == ()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 28
