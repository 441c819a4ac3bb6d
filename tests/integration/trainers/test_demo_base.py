"""The demo's base model, as it is shipped: what it weighs, that diffusers loads it, and that it draws what is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorapod.client.demo_recipe import DEMO_BASE
from lorapod.client.drawing.things import COLOURS
from lorapod.weights import read_header

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

import numpy as np
import torch

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::FutureWarning")]

_MOST_BYTES = 12_000_000


@pytest.fixture(scope="module")
def pipeline() -> Any:
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(1)
    pipeline = StableDiffusionPipeline.from_pretrained(DEMO_BASE, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def drawn(pipeline: Any, prompts: list[str], *, steps: int = 12) -> np.ndarray[Any, Any]:
    """One picture of each prompt, (count, side, side, 3), 0 to 255."""
    pictures = pipeline(
        prompts,
        num_inference_steps=steps,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(place) for place in range(len(prompts))],
        output_type="np",
    ).images
    return np.asarray(pictures) * 255


def test_it_is_small() -> None:
    files = [path for path in DEMO_BASE.rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in files) < _MOST_BYTES


def test_its_card_says_how_it_was_made() -> None:
    card = (DEMO_BASE / "README.md").read_text("utf-8")

    for words in ("scripts/demo_base.py", "--seed", "million", "Licence", "Limits"):
        assert words in card
    assert Path("scripts/demo_base.py").name in card


def test_its_weights_are_in_half_precision(pipeline: Any) -> None:
    for part in ("unet", "vae", "text_encoder"):
        (file,) = (DEMO_BASE / part).glob("*.safetensors")
        assert set(read_header(file).dtypes) == {"F16"}
        assert getattr(pipeline, part).dtype == torch.float32, (
            "without a wish, a pipeline computes in float32"
        )


def test_things_have_the_colour_that_is_asked_for(pipeline: Any) -> None:
    asked = ["red", "yellow", "green", "blue", "purple", "pink"]
    pictures = drawn(pipeline, [f"a drawing of a {colour} heart on a white background" for colour in asked])

    # The heart's middle, well inside of its outline.
    middles = np.median(pictures[:, 32:44, 26:38].reshape(len(asked), -1, 3), axis=1)
    palette = np.array(list(COLOURS.values()))
    distances = np.linalg.norm(middles[:, None] - palette[None], axis=2)
    found = [list(COLOURS)[place] for place in distances.argmin(axis=1)]
    assert sum(a == b for a, b in zip(asked, found, strict=True)) >= 5, found


def test_places_are_those_that_are_asked_for(pipeline: Any) -> None:
    grass, night, white = drawn(
        pipeline,
        [
            "a photo of a red ball on grass",
            "a photo of a red ball at night",
            "a photo of a red ball on a white background",
        ],
    )

    # The corners at the top, and the ground.
    assert night[:8].mean() < grass[:8].mean() < white[:8].mean()
    ground = grass[-6:].mean(axis=(0, 1))
    assert ground.argmax() == 1, "grass is green"
    assert white[-6:].mean() > 200
