"""A small model that recognises a subject in another picture: it gives the likeness of the demo's comparison."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import ConvNextConfig, ConvNextModel, ViTImageProcessorPil

from demo_base_parts.pictures import SIDE, as_floats
from demo_base_parts.recogniser_card import Recognition, recogniser_card
from demo_base_parts.subjects import VIEWS, subjects

log = logging.getLogger("demo_base")

#: Subjects in each step; neighbours differ in one part, so they come together.
_BATCH = 64
_RATE = 2e-3
_TEMPERATURE = 0.1
#: The fit of a picture with itself.
_NEVER = -1e4
#: How far a picture is bent, as a share of its half side; and how wide a spot of one colour is, in pixels.
_BEND, _SPOT = 0.15, 8
#: Subjects that it never sees while it is trained.
HELD_BACK = 500


def write_recogniser(out: Path, *, count: int, steps: int, seed: int, held_back: int = HELD_BACK) -> None:
    """Train it on `count` subjects, and write it in half precision, with its card."""
    pixels = subjects(count + held_back, seed + 200)
    model = train_recogniser(pixels[:-held_back], steps=steps, seed=seed)
    known = recognised_again(model, pixels[-held_back:])
    model.half().save_pretrained(out)
    size = {"height": SIDE, "width": SIDE}
    middle = [0.5, 0.5, 0.5]
    ViTImageProcessorPil(size=size, image_mean=middle, image_std=middle).save_pretrained(out)
    card = recogniser_card(model, subjects=count, batch=_BATCH, steps=steps, seed=seed, known=known)
    (out / "README.md").write_text(card, "utf-8")
    for file in out.glob("*.safetensors"):
        file.chmod(0o644)


@torch.no_grad()
def recognised_again(model: Any, pixels: torch.Tensor) -> Recognition:
    """Return how well it knows subjects again, each from one picture to another."""
    vectors = [
        functional.normalize(model(pixel_values=as_floats(view)).pooler_output, dim=-1)
        for view in (pixels[:, 0], pixels[:, 1])
    ]
    cosines = vectors[0] @ vectors[1].T
    right = (cosines.argmax(dim=1) == torch.arange(len(pixels))).float().mean()
    # The neighbour of a subject is the same with one part changed.
    own, other = cosines.diagonal(), cosines[torch.arange(len(pixels)), torch.arange(len(pixels)) ^ 1]
    return Recognition(
        subjects=len(pixels),
        found=right.item(),
        told_from_changed=(own > other).float().mean().item(),
    )


def new_recogniser() -> Any:
    """Return it untrained."""
    return ConvNextModel(
        ConvNextConfig(
            image_size=SIDE,
            patch_size=4,
            num_stages=3,
            hidden_sizes=[32, 64, 128],
            depths=[1, 2, 2],
            layer_scale_init_value=1.0,
        )
    )


def train_recogniser(pixels: torch.Tensor, *, steps: int, seed: int) -> Any:
    """Train it to give two pictures of a subject near vectors, and those of others far ones."""
    torch.manual_seed(seed)
    model = new_recogniser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_RATE, total_steps=steps, pct_start=0.1)
    began, mean_loss, mean_right = time.monotonic(), 4.0, 0.0
    shown = VIEWS * _BATCH
    numbers = torch.arange(shown)
    partner = (numbers + _BATCH) % shown
    for step in range(1, steps + 1):
        firsts = 2 * torch.randint(len(pixels) // 2, (_BATCH // 2,))
        chosen = torch.cat([firsts, firsts + 1])
        views = as_floats(torch.cat([pixels[chosen, 0], pixels[chosen, 1]]))
        pictures = torch.cat([_worn(views), _worn(_spoilt(views[:_BATCH]))])
        vectors = functional.normalize(model(pixel_values=pictures).pooler_output, dim=-1)
        fits = vectors[:shown] @ vectors.T / _TEMPERATURE
        fits[numbers, numbers] = _NEVER
        loss = functional.cross_entropy(fits, partner)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean_loss += 0.05 * (loss.item() - mean_loss)
        mean_right += 0.05 * ((fits.argmax(dim=1) == partner).float().mean().item() - mean_right)
        if step % 50 == 0:
            log.info(
                "recogniser step %d: loss %.4f, right %.2f, %.0f s",
                step,
                mean_loss,
                mean_right,
                time.monotonic() - began,
            )
    return model.eval()


def _worn(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures as a small base model draws them: some blurred, some with noise, a bit lighter or darker."""
    count = len(pictures)
    blurred = functional.interpolate(
        functional.avg_pool2d(pictures, 3, stride=2, padding=1, count_include_pad=False),
        size=pictures.shape[-1],
        mode="bilinear",
        align_corners=False,
    )
    share = torch.rand(count, 1, 1, 1)
    light = 1 + 0.15 * torch.randn(count, 1, 1, 1)
    noise = 0.05 * torch.rand(count, 1, 1, 1) * torch.randn_like(pictures)
    return ((pictures + share * (blurred - pictures)) * light + noise).clamp(-1, 1)


def _spoilt(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures of what is no more the subject: half of them bent out of shape, half of them spots of its colours."""
    count, side = len(pictures), pictures.shape[-1]
    bends = functional.interpolate(
        _BEND * torch.randn(count, 2, 6, 6), size=side, mode="bicubic", align_corners=True
    )
    grid = functional.affine_grid(
        torch.eye(2, 3).expand(count, 2, 3), list(pictures.shape), align_corners=False
    )
    bent = functional.grid_sample(
        pictures, grid + bends.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )
    spots = functional.interpolate(
        functional.avg_pool2d(pictures, _SPOT), size=side, mode="bilinear", align_corners=False
    )
    return torch.where(torch.rand(count, 1, 1, 1) < 0.5, bent, spots)
