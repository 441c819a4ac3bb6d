"""That the script which made the demo's embedding models still makes such models, the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

import torch

from demo_base_parts.subjects import VIEWS, subjects
from demo_embedding import main
from lorapod.client.demo_recipe import DEMO_CLIP, DEMO_RECOGNISER

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")]

_MOST_BYTES = 3_000_000


def test_subjects_are_the_same_each_time_and_differ_from_their_neighbours() -> None:
    first = subjects(6, 3)

    assert first.shape == (6, VIEWS, 3, 64, 64)
    assert torch.equal(first, subjects(6, 3))
    assert not torch.equal(first, subjects(6, 4))
    assert len({bytes(picture.numpy()) for picture in first.flatten(0, 1)}) == 6 * VIEWS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for name in ("one", "two"):
        assert main([str(folder / name), "--quick"]) == 0
    return folder


@pytest.mark.parametrize("shipped", [DEMO_CLIP, DEMO_RECOGNISER], ids=lambda path: path.name)
def test_it_makes_the_models_that_are_shipped(made: Path, shipped: Path) -> None:
    one, two = made / "one" / shipped.name, made / "two" / shipped.name

    assert {path.name for path in one.iterdir()} == {path.name for path in shipped.iterdir()}
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    assert (one / "model.safetensors").read_bytes() != (shipped / "model.safetensors").read_bytes()
    assert (one / "model.safetensors").stat().st_size == (shipped / "model.safetensors").stat().st_size
    for name in ("config.json", "preprocessor_config.json"):
        assert json.loads((one / name).read_text()) == json.loads((shipped / name).read_text()), name


@pytest.mark.parametrize("shipped", [DEMO_CLIP, DEMO_RECOGNISER], ids=lambda path: path.name)
def test_a_card_says_how_its_model_was_made_and_what_it_cannot_do(shipped: Path) -> None:
    card = " ".join((shipped / "README.md").read_text("utf-8").split())

    for words in (
        "scripts/demo_embedding.py",
        f"--only {shipped.name}",
        "--seed 0",
        "million",
        "Limits",
        "chance",
    ):
        assert words in card
    assert sum(path.stat().st_size for path in shipped.iterdir()) < _MOST_BYTES
