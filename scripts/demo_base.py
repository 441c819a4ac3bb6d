"""Train the demo's base model: `python scripts/demo_base.py OUT_DIR [--seed 0] [--threads 1] [--quick]`.

It takes about two hours on one core, and writes a text-to-image model in diffusers' layout, in half precision, with
its model card. The same seed gives the same weights on the same CPU, version of torch and number of threads. The model's
pictures are drawn by `lorapod.client.drawing`; nothing is downloaded. What it writes is in
`Backend/lorapod/trainers/builtin/demo_base`.

The model is written every 250 steps of the UNet, too, with what its card says of them. The one that is shipped is that of
step 3250, of a run whose learning rate would have reached zero at step 4000: there the defaults (`Effort`) stop. With
`--quick`, a model that draws nothing is made in seconds, to see that the script works.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from demo_base_parts.autoencoder import encode, train_decoder, train_vae
from demo_base_parts.card import card
from demo_base_parts.denoiser import SCHEDULE, Denoiser, new_unet, train_denoiser
from demo_base_parts.effort import QUICK, Effort
from demo_base_parts.pictures import loose_shapes, scenes
from demo_base_parts.text import LENGTH, encoder, tokenizer

_CHANNELS = 4


def train(out: Path, *, seed: int, effort: Effort) -> None:
    """Train all parts and write the model to `out`."""
    pixels, captions = scenes(effort.scenes, seed)
    loose = loose_shapes(effort.loose_shapes, seed + 1)
    vae = train_vae(torch.cat([pixels[: effort.vae_scenes], loose]), steps=effort.vae_steps, seed=seed)
    latents = encode(vae, pixels)
    train_decoder(
        vae,
        torch.cat([pixels, loose]),
        torch.cat([latents, encode(vae, loose)]),
        steps=effort.decoder_steps,
        seed=seed + 5,
    )
    factor = float(1 / latents[:, :_CHANNELS].std())
    vae.register_to_config(scaling_factor=factor)
    spread = (0.5 * latents[:, _CHANNELS:]).exp()
    scaled = torch.cat([latents[:, :_CHANNELS], spread], dim=1) * factor

    words = tokenizer()
    torch.manual_seed(seed)
    model = Denoiser(new_unet(), encoder(words))
    trained = train_denoiser(
        model,
        scaled,
        _tokens(words, captions),
        _tokens(words, [""]),
        steps=effort.unet_steps,
        schedule_steps=effort.unet_schedule,
        seed=seed,
        checkpoint=lambda average, step: write(out, vae, average, words, seed=seed, told=effort.told(step)),
    )
    write(out, vae, trained, words, seed=seed, told=effort.told(effort.unet_steps))


def write(out: Path, vae: Any, model: Denoiser, words: Any, *, seed: int, told: str) -> None:
    """Write the model in half precision, with its card; `told` says what was trained."""
    parts = [copy.deepcopy(part).half() for part in (vae, model.encoder, model.unet)]
    half = StableDiffusionPipeline(
        vae=parts[0],
        text_encoder=parts[1],
        tokenizer=words,
        unet=parts[2],
        scheduler=DDIMScheduler(**SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    staged = out.with_name(f"{out.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    half.save_pretrained(staged)
    (staged / "README.md").write_text(card(half, seed=seed, told=told), "utf-8")
    # transformers computes in the precision that this file names; the other parts compute in float32 by themselves.
    config = staged / "text_encoder" / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text("utf-8")) | {"dtype": "float32"}, indent=2), "utf-8"
    )
    for file in staged.rglob("*.safetensors"):
        file.chmod(0o644)
    shutil.rmtree(out, ignore_errors=True)
    staged.rename(out)


def _tokens(words: Any, texts: Sequence[str]) -> torch.Tensor:
    tokens: torch.Tensor = words(
        list(texts), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    ).input_ids
    return tokens


def main(arguments: Sequence[str]) -> int:
    """Train the model and write it."""
    parser = argparse.ArgumentParser(
        prog="python scripts/demo_base.py", description="Train the demo's base model."
    )
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="make a model that draws nothing, in seconds")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    train(options.folder, seed=options.seed, effort=QUICK if options.quick else Effort())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
