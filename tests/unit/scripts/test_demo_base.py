"""That the script which made the demo's base model still makes such a model, from a few steps, the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

import torch
from diffusers import StableDiffusionPipeline

from demo_base import main
from demo_base_parts.effort import Effort
from demo_base_parts.pictures import loose_shapes, scenes
from demo_base_parts.text import known_words, tokenizer
from lorapod.client.demo_recipe import DEMO_BASE

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")]


def test_the_pictures_and_captions_are_the_same_each_time() -> None:
    first, captions = scenes(20, 3)
    again, captions_again = scenes(20, 3)
    other, _ = scenes(20, 4)

    assert torch.equal(first, again)
    assert captions == captions_again
    assert not torch.equal(first, other)
    assert torch.equal(loose_shapes(3, 1), loose_shapes(3, 1))


def test_each_word_of_the_captions_is_one_token() -> None:
    words = tokenizer()

    assert all(len(words.tokenize(word)) == 1 for word in known_words())
    assert words.tokenize("mimo") == ["m", "i", "m", "o</w>"]


def test_it_makes_the_model_that_is_shipped(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main([str(tmp_path / name), "--quick"]) == 0
    assert main([str(tmp_path / "other"), "--quick", "--seed", "1"]) == 0

    made, shipped = (
        {path.relative_to(folder) for path in folder.rglob("*")} for folder in (tmp_path / "one", DEMO_BASE)
    )
    assert made == shipped
    for path in made:
        if path.suffix == ".safetensors":
            assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
            assert (tmp_path / "one" / path).read_bytes() != (tmp_path / "other" / path).read_bytes(), path
            assert (DEMO_BASE / path).stat().st_size == (tmp_path / "one" / path).stat().st_size, path
    for name in ("unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"):
        assert json.loads((tmp_path / "one" / name).read_text()) == json.loads(
            (DEMO_BASE / name).read_text()
        ), name
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "one", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    (image,) = pipeline("a photo of a red ball on grass", num_inference_steps=1).images
    assert image.size == (64, 64)
    card = " ".join((tmp_path / "one" / "README.md").read_text("utf-8").split())
    assert "UNet and text encoder 1 steps of 32 pictures" in card


def test_the_card_that_is_shipped_says_what_the_defaults_train() -> None:
    effort = Effort()
    card = " ".join((DEMO_BASE / "README.md").read_text("utf-8").split())
    assert effort.told(effort.unet_steps) in card
    assert "stopped there" in effort.told(effort.unet_steps)
