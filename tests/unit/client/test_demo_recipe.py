from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lorapod.client.demo_recipe import (
    DEMO_BASE,
    DEMO_CLIP,
    DEMO_RECOGNISER,
    EXAMPLES,
    DemoRecipe,
    real_recipe,
    tiny_recipe,
)
from lorapod.client.drawing.creature import OTHER_PROMPTS, PROMPTS


def tiny(out: Path, dataset: Path | None = None) -> DemoRecipe:
    return tiny_recipe(
        out, model=None, arch="sd1", dataset=dataset, trainer="builtin", steps=None, resolution=None
    )


def test_the_tiny_recipe_copies_its_model_and_draws_its_pictures(tmp_path: Path) -> None:
    recipe = tiny(tmp_path)
    recipe.prepare()

    process = recipe.config()["config"]["process"][0]
    model = tmp_path / "workspace" / "models" / "demo_base"
    assert process["model"]["name_or_path"] == str(model)
    assert sorted(path.name for path in model.iterdir()) == sorted(path.name for path in DEMO_BASE.iterdir())
    assert process["sample"]["prompts"] == list(PROMPTS)
    # The captions have it already; comparisons measure the drift of the same prompts without it.
    assert process["trigger_word"] == "mimo"
    assert all("mimo" in path.read_text() for path in recipe.pictures.glob("*.txt"))
    assert process["train"]["steps"] == recipe.steps
    assert all(path.is_file() for path in recipe.examples().values())


def test_the_demo_scores_its_drawings_with_its_own_models(tmp_path: Path) -> None:
    recipe = tiny(tmp_path)
    recipe.prepare()

    workspace = tmp_path / "workspace"
    for variable, model in (("EMBEDDING_MODEL", DEMO_RECOGNISER), ("TEXT_IMAGE_MODEL", DEMO_CLIP)):
        copied = workspace / recipe.environment[variable]
        assert sorted(path.name for path in copied.iterdir()) == sorted(path.name for path in model.iterdir())
    # A few prompts without the word show what the LoRA should leave alone.
    assert recipe.comparison() == {"prompts": [*PROMPTS, *OTHER_PROMPTS]}
    assert not any("mimo" in prompt for prompt in OTHER_PROMPTS)


def test_images_of_ones_own_are_not_scored_by_models_that_know_drawings_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()

    recipe = tiny(tmp_path, dataset=tmp_path / "mine")
    recipe.prepare()

    assert "EMBEDDING_MODEL" not in recipe.environment
    assert recipe.comparison() == {}
    assert not (tmp_path / "workspace" / "models" / DEMO_RECOGNISER.name).exists()


def test_a_model_that_is_there_already_is_kept(tmp_path: Path) -> None:
    index = tmp_path / "workspace" / "models" / "demo_base" / "model_index.json"
    index.parent.mkdir(parents=True)
    index.write_text("{}")

    tiny(tmp_path).prepare()

    assert index.read_text() == "{}"


def test_a_dataset_of_ones_own_is_sampled_with_captions_from_all_over_it(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(9):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"picture\n number  {number}")
    Image.new("RGB", (8, 8)).save(folder / "uncaptioned.jpg")

    recipe = tiny(tmp_path, dataset=folder)

    assert not recipe.draws_pictures
    assert "trigger_word" not in recipe.config()["config"]["process"][0]
    assert len(recipe.examples()) == EXAMPLES
    assert "picture number 2" in recipe.examples()


@pytest.mark.parametrize(("arch", "resolution"), [("sd1", 512), ("sdxl", 1024)])
def test_a_model_of_ones_own_gets_settings_for_real_models(
    tmp_path: Path, arch: str, resolution: int
) -> None:
    recipe = real_recipe(
        tmp_path,
        model="someone/model",
        arch=arch,
        dataset=None,
        trainer="ai-toolkit",
        steps=70,
        resolution=None,
    )
    recipe.prepare()

    process = recipe.config()["config"]["process"][0]
    assert recipe.model == "someone/model"
    assert process["datasets"][0]["resolution"] == [resolution]
    assert process["sample"]["sample_every"] == 14
    assert not recipe.environment


def test_a_model_on_disk_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    recipe = real_recipe(
        tmp_path, model="model", arch="sd1", dataset=None, trainer="auto", steps=None, resolution=256
    )
    assert recipe.model == str(tmp_path / "model")
    assert recipe.resolution == 256
    assert recipe.environment == {"MODELS_PATH": str(tmp_path)}
