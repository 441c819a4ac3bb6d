"""That the builtin trainer's LoRA loads where LoRAs are loaded, and that it has learnt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.builtin_runs import Bench, Run
from tests.tiny_models import place_tiny

from lorapod.testing.pictures import GROUND, SHAPE
from lorapod.weights import read_header

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

import numpy as np
import torch
from PIL import Image

pytestmark = [
    pytest.mark.torch,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

STEPS = 60


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench.create(tmp_path_factory.mktemp("learning"), fitted=True)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def trained(bench: Bench) -> Run:
    return bench.train(
        "shapes",
        train={"steps": STEPS, "batch_size": 4, "lr": 1e-2, "gradient_checkpointing": True},
        network={"linear": 8, "linear_alpha": 8},
    )


@pytest.fixture(scope="module")
def pipeline(bench: Bench, trained: Run) -> Any:
    """The base model with the LoRA loaded, as any user of diffusers would."""
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(1)
    pipeline = StableDiffusionPipeline.from_pretrained(bench.model, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(trained.folder.path, weight_name=trained.folder.final.name)
    return pipeline


def latents_of(pipeline: Any, pictures: Path) -> torch.Tensor:
    batch = []
    for path in sorted(pictures.glob("*.png")):
        with Image.open(path) as image:
            square = image.convert("RGB").resize((64, 64))
        batch.append(torch.from_numpy(np.array(square)).permute(2, 0, 1) / 127.5 - 1)
    with torch.no_grad():
        latents: torch.Tensor = pipeline.vae.encode(torch.stack(batch)).latent_dist.mode()
    factor: float = pipeline.vae.config.scaling_factor
    return latents * factor


def losses(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """The error of each picture on the same noise, at timesteps from all over the schedule."""
    chance = torch.Generator().manual_seed(5)
    timesteps = torch.arange(50, 1000, 100)
    prompt = pipeline.encode_prompt(
        "a circle on a plain ground", "cpu", 1, do_classifier_free_guidance=False
    )[0]
    found = []
    for latent in latents:
        clean = latent.expand(len(timesteps), -1, -1, -1)
        noise = torch.randn(clean.shape, generator=chance)
        noisy = pipeline.scheduler.add_noise(clean, noise, timesteps)
        with torch.no_grad():
            guess = pipeline.unet(noisy, timesteps, prompt.expand(len(timesteps), -1, -1)).sample
        found.append(((guess - noise) ** 2).mean())
    return torch.stack(found)


def distances(pipeline: Any, count: int) -> np.ndarray[Any, Any]:
    """For each of `count` pictures, by their seeds: how far its colours are from the data set's, 0 to 255."""
    colours = np.array([GROUND, SHAPE], dtype=float)
    found = []
    for seed in range(count):
        picture = pipeline(
            "a circle on a plain ground",
            width=64,
            height=64,
            num_inference_steps=12,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(seed),
        ).images[0]
        # One pixel of each 8 x 8 block, for that is what the toy paints, against the nearer of the two colours.
        pixels = np.asarray(picture, dtype=float)[::8, ::8].reshape(-1, 1, 3)
        found.append(np.abs(pixels - colours).mean(axis=2).min(axis=1).mean())
    return np.array(found)


def test_the_loss_on_fixed_noise_falls(pipeline: Any, bench: Bench) -> None:
    latents = latents_of(pipeline, bench.pictures)
    with_lora = losses(pipeline, latents)
    pipeline.disable_lora()
    without = losses(pipeline, latents)
    pipeline.enable_lora()

    assert (with_lora < without).all(), f"{with_lora} is not below {without}"
    assert with_lora.mean() < 0.8 * without.mean()


def test_pictures_move_towards_the_dataset(pipeline: Any) -> None:
    with_lora = distances(pipeline, 8)
    pipeline.disable_lora()
    without = distances(pipeline, 8)
    pipeline.enable_lora()

    # About 0.65 as far, and each of the eight nearer, when this was written.
    assert (with_lora < without).sum() >= 7, f"{with_lora} against {without}"
    assert with_lora.mean() < 0.85 * without.mean()


def test_the_training_itself_saw_the_loss_fall(trained: Run) -> None:
    from lorapod.volume.loss_log import read_series

    values = [value for _, value in read_series(trained.folder.loss_log)["loss/loss"]]
    quarter = len(values) // 4
    assert np.mean(values[-quarter:]) < np.mean(values[:quarter])


def test_sdxl(bench: Bench) -> None:
    from diffusers import StableDiffusionXLPipeline

    folder = place_tiny(bench.workspace.models / "tiny_xl", "sdxl")
    run = bench.train(
        "xl",
        model={"name_or_path": "tiny_xl", "arch": "sdxl"},
        train={"steps": 2, "lr": 1e-2, "batch_size": 2},
        sample={"prompts": ["a square"], "neg": "a circle", "guidance_scale": 3.0, "walk_seed": True},
    )
    assert len(list(run.folder.samples.glob("*.jpg"))) == 2
    assert read_header(run.folder.final).base_model == "sdxl_base_v1-0"

    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)

    def picture() -> np.ndarray[Any, Any]:
        chance = torch.Generator().manual_seed(1)
        images = pipeline("a square", width=64, height=64, num_inference_steps=2, generator=chance).images
        return np.asarray(images[0], dtype=float)

    before = picture()
    pipeline.load_lora_weights(run.folder.path, weight_name=run.folder.final.name)
    assert np.abs(picture() - before).max() > 0
