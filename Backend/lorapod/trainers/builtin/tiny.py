"""`python -m lorapod.trainers.builtin.tiny OUT_DIR [--arch sd1|sdxl]`: a toy base model in diffusers' folder layout.

It has the structure of Stable Diffusion 1.x or SDXL at a thousandth of the size, and trains in hundredths of a second a
step at 64 pixels on one core. It can draw only greyish boxes, and it ignores its prompt. It makes it possible to try
everything around a model anywhere, and to see that a LoRA learns.

- The VAE is not trained but computed: 8 x 8 pixels become one latent pixel of the same colour, and back.
- The text encoders have random weights; every byte is a token.
- The UNet is fitted for some seconds to remove noise from random greyish boxes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from lorapod.trainers.builtin.colour_vae import LATENT_PEAK, colour_vae
from lorapod.trainers.builtin.values import Architecture

#: Width of one text encoder.
_TEXT_WIDTH = 32
_TIME_ID_WIDTH = 8
_FIT_STEPS = 200
_FIT_BATCH = 8
_FIT_RATE = 8e-3
#: How far from grey its colours are, 0 to 1. On images this small, a model that expects strong colours takes them from
#: the noise, and then a LoRA cannot teach it any.
_COLOURFULNESS = 0.3
_SCALING = {Architecture.SD1: 0.18215, Architecture.SDXL: 0.13025}


def build(arch: Architecture, *, seed: int = 0, fit_steps: int = _FIT_STEPS) -> Any:
    """Return the toy pipeline; the same seed gives the same weights."""
    torch.manual_seed(seed)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    tokenizer = byte_tokenizer()
    vae = colour_vae(_SCALING[arch])
    if arch is Architecture.SD1:
        unet = UNet2DConditionModel(**_unet_shape(_TEXT_WIDTH))
        fit(unet, scheduler, steps=fit_steps, seed=seed)
        return StableDiffusionPipeline(
            vae=vae,
            text_encoder=CLIPTextModel(_text_shape(tokenizer)),
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    unet = UNet2DConditionModel(
        **_unet_shape(2 * _TEXT_WIDTH),
        addition_embed_type="text_time",
        addition_time_embed_dim=_TIME_ID_WIDTH,
        projection_class_embeddings_input_dim=_TEXT_WIDTH + 6 * _TIME_ID_WIDTH,
        use_linear_projection=True,
    )
    fit(unet, scheduler, steps=fit_steps, seed=seed)
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(_text_shape(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(_text_shape(tokenizer)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=scheduler,
        add_watermarker=False,
    )


def byte_tokenizer() -> CLIPTokenizer:
    """Return a CLIP tokenizer without merges: each byte is a token, with a variant for the end of a word."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    # CLIP's alphabet: printable bytes are themselves, the others are the code points from 256 on.
    letters = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: place for place, word in enumerate(words)}, merges=[], model_max_length=77
    )


def fit(unet: Any, scheduler: Any, *, steps: int, seed: int) -> None:
    """Teach the UNet to predict the noise on random shapes, whatever the prompt."""
    noise_scheduler = DDPMScheduler.from_config(scheduler.config)
    chance = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=_FIT_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_FIT_RATE, total_steps=max(steps, 1))
    for _ in range(steps):
        clean = random_shapes(_FIT_BATCH, chance)
        noise = torch.randn(clean.shape, generator=chance)
        timesteps = torch.randint(0, 1000, (_FIT_BATCH,), generator=chance)
        prompts = torch.randn(_FIT_BATCH, 4, unet.config.cross_attention_dim, generator=chance)
        extra = {}
        if unet.config.addition_embed_type == "text_time":
            sizes = torch.tensor([64, 64, 0, 0, 64, 64]).repeat(_FIT_BATCH, 1)
            pooled = torch.randn(_FIT_BATCH, _TEXT_WIDTH, generator=chance)
            extra = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
        noisy = noise_scheduler.add_noise(clean, noise, timesteps)
        guess = unet(noisy, timesteps, encoder_hidden_states=prompts, **extra).sample
        loss = functional.mse_loss(guess, noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def random_shapes(count: int, chance: torch.Generator, *, side: int = 8) -> torch.Tensor:
    """Return latents of images with one greyish box on a greyish ground, (count, 4, side, side)."""
    colours = (torch.rand(count, 2, 3, 1, 1, generator=chance) * 2 - 1) * _COLOURFULNESS
    corners = torch.randint(0, side, (count, 2, 2), generator=chance).sort(dim=1).values
    places = torch.arange(side)
    rows = (places >= corners[:, 0, :1]) & (places <= corners[:, 1, :1])
    columns = (places >= corners[:, 0, 1:]) & (places <= corners[:, 1, 1:])
    inside = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
    images = torch.where(inside, colours[:, 0], colours[:, 1]) * LATENT_PEAK
    return torch.cat([images, torch.zeros(count, 1, side, side)], dim=1)


def _unet_shape(text_width: int) -> dict[str, Any]:
    return {
        "sample_size": 8,
        "block_out_channels": (32,),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D",),
        "up_block_types": ("CrossAttnUpBlock2D",),
        "cross_attention_dim": text_width,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }


def _text_shape(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=_TEXT_WIDTH,
        intermediate_size=2 * _TEXT_WIDTH,
        projection_dim=_TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def main(arguments: Sequence[str]) -> int:
    """Build the model and write it."""
    parser = argparse.ArgumentParser(
        prog="python -m lorapod.trainers.builtin.tiny", description="A toy base model."
    )
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--arch", type=Architecture, choices=list(Architecture), default=Architecture.SD1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--fit-steps", type=int, default=_FIT_STEPS, help="0: leave the UNet's weights random"
    )
    options = parser.parse_args(arguments)
    pipeline = build(options.arch, seed=options.seed, fit_steps=options.fit_steps)
    pipeline.save_pretrained(options.folder)
    sys.stdout.write(f"{options.folder}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
