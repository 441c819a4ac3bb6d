from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image
from tests.unit.trainers.ai_toolkit.conftest import Prepare

from lorapod.errors import InvalidInput
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.port import HeldOut, TrainingPlan
from lorapod.workspace import Workspace


@pytest.fixture
def cats(workspace: Workspace) -> Path:
    folder = workspace.training_data / "cats"
    (folder / "more").mkdir()
    for name in ("2", "3", "4", "5", "6", "7", "8", "9", "more/10"):
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"a cat, {name}")
    (folder / "1.txt").write_text("ohwx asleep")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def items_of(plan: TrainingPlan) -> list[dict[str, str]]:
    items: list[dict[str, str]] = plan.config["config"]["process"][0]["train"]["validation_config"][
        "validation_items"
    ]
    return items


def test_a_share_of_the_images_is_looked_at_with_their_captions(prepare: Prepare, cats: Path) -> None:
    plan = prepare(held_out=HeldOut(share=0.2, every=25))
    assert items_of(plan) == [
        {"image_path": str(cats / "1.png"), "prompt": "ohwx asleep"},
        {"image_path": str(cats / "6.png"), "prompt": "ohwx a cat, 6"},
    ]
    validation = plan.config["config"]["process"][0]["train"]["validation_config"]
    assert validation["validate_every_n_steps"] == 25
    assert validation["resolution"] == 768
    assert any("2 of 10 images are held back" in warning for warning in plan.warnings)
    # A resume holds back the same.
    assert items_of(prepare(held_out=HeldOut(share=0.2, every=25))) == items_of(plan)


def test_the_child_does_not_find_them_in_its_dataset(
    prepare: Prepare, cats: Path, trainer: AIToolkitTrainer, tmp_path: Path
) -> None:
    plan = prepare(held_out=HeldOut(share=0.2, every=25))
    plan.control_path.parent.mkdir(parents=True, exist_ok=True)
    stored = tmp_path / "config.yaml"
    stored.write_text("what the caller sees\n")

    trainer.launch(plan, stored)
    spec = trainer.launch(plan, stored)

    used = yaml.safe_load(Path(spec.argv[-1]).read_text())
    folder = Path(used["config"]["process"][0]["datasets"][0]["folder_path"])
    assert not folder.is_relative_to(cats)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    assert found == {*(f"{number}.png" for number in (2, 3, 4, 5, 7, 8, 9)), "more/10.png"}
    assert (folder / "2.txt").read_text() == "a cat, 2"
    assert stored.read_text() == "what the caller sees\n"
    assert plan.config["config"]["process"][0]["datasets"][0]["folder_path"] == str(cats)


def test_without_it_the_child_reads_the_dataset_itself(
    prepare: Prepare, cats: Path, trainer: AIToolkitTrainer, tmp_path: Path
) -> None:
    plan = prepare()
    plan.control_path.parent.mkdir(parents=True, exist_ok=True)
    assert trainer.launch(plan, tmp_path / "config.yaml").argv[-1] == str(tmp_path / "config.yaml")


def test_one_image_is_not_enough(prepare: Prepare) -> None:
    with pytest.raises(InvalidInput, match="needs at least 2 images") as caught:
        prepare(held_out=HeldOut(share=0.1, every=50))
    assert caught.value.details[0]["field"] == "validation"


def test_a_dataset_that_is_still_to_be_fetched_is_looked_at_later(
    prepare: Prepare,
) -> None:
    plan = prepare(
        dataset="coming",
        dataset_ready=False,
        held_out=HeldOut(share=0.1, every=50),
    )
    assert "validation_config" not in plan.config["config"]["process"][0]["train"]
