"""Latents and prompts, encoded once before the first step and kept in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps

from lorapod.trainers.builtin.base_model import BaseModel
from lorapod.trainers.builtin.console import following
from lorapod.trainers.builtin.dataset import TrainingImage
from lorapod.trainers.builtin.values import Architecture


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One encoded text."""

    #: (tokens, width)
    embeds: torch.Tensor
    #: (width,), SDXL only
    pooled: torch.Tensor | None


@torch.no_grad()
def encode_prompts(model: BaseModel, texts: Iterable[str]) -> dict[str, Prompt]:
    """Encode every distinct text once; the results are on the CPU, in the base model's precision."""
    encoded: dict[str, Prompt] = {}
    for text in dict.fromkeys(texts):
        if model.arch is Architecture.SDXL:
            embeds, _, pooled, _ = model.pipeline.encode_prompt(
                text, device=model.device, do_classifier_free_guidance=False
            )
            encoded[text] = Prompt(embeds=embeds[0].cpu(), pooled=pooled[0].cpu())
        else:
            embeds, _ = model.pipeline.encode_prompt(text, model.device, 1, do_classifier_free_guidance=False)
            encoded[text] = Prompt(embeds=embeds[0].cpu(), pooled=None)
    return encoded


@torch.no_grad()
def encode_images(model: BaseModel, images: Sequence[TrainingImage]) -> list[torch.Tensor]:
    """Return the scaled latents of each image, (channels, side / 8, side / 8), on the CPU, in float32."""
    vae = model.pipeline.vae
    latents: list[torch.Tensor] = []
    for image in following(images, "Caching latents", len(images)):
        pixels = torch.from_numpy(_pixels(image)).to(model.device)
        encoded = vae.encode(pixels.unsqueeze(0)).latent_dist.mode()
        latents.append((encoded[0] * vae.config.scaling_factor).cpu())
    return latents


def _pixels(image: TrainingImage) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the image scaled and centre-cropped to its square, (3, side, side), -1 to 1."""
    with Image.open(image.path) as file:
        pixels = ImageOps.exif_transpose(file).convert("RGB")
    pixels = ImageOps.fit(pixels, (image.side, image.side), Image.Resampling.LANCZOS)
    if image.mirrored:
        pixels = ImageOps.mirror(pixels)
    return np.asarray(pixels, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1.0
