from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lorapod.client.demo_recipe import CAPTIONS, EXAMPLES, DemoRecipe, draw_pictures, real_recipe, tiny_recipe


def tiny(out: Path, dataset: Path | None = None) -> DemoRecipe:
    return tiny_recipe(
        out, model=None, arch="sd1", dataset=dataset, trainer="builtin", steps=None, resolution=None
    )


def test_the_drawn_pictures_are_the_same_each_time(tmp_path: Path) -> None:
    draw_pictures(tmp_path / "one")
    draw_pictures(tmp_path / "two")

    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 24
    assert all(
        (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names
    )


def test_the_tiny_recipe_draws_its_pictures_and_samples_their_captions(tmp_path: Path) -> None:
    recipe = tiny(tmp_path)
    draw_pictures(recipe.pictures)

    examples = recipe.examples()
    process = recipe.config()["config"]["process"][0]

    assert tuple(examples) == CAPTIONS
    assert all(path.with_suffix(".txt").read_text() == caption for caption, path in examples.items())
    assert process["sample"]["prompts"] == list(CAPTIONS)
    assert process["model"]["name_or_path"] == str(tmp_path / "workspace" / "models" / "tiny")
    assert process["train"]["steps"] == recipe.steps


def test_a_dataset_of_ones_own_is_sampled_with_captions_from_all_over_it(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(9):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"picture\n number  {number}")
    Image.new("RGB", (8, 8)).save(folder / "uncaptioned.jpg")

    recipe = tiny(tmp_path, dataset=folder)

    assert not recipe.draws_pictures
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
    draw_pictures(recipe.pictures)

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
