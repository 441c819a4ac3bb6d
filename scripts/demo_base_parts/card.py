"""The model card, written from the model itself."""

from __future__ import annotations

import platform
import textwrap
from typing import Any

import torch

from lorapod.client.drawing.places import PLACES
from lorapod.client.drawing.scene import STYLES
from lorapod.client.drawing.things import COLOURS, THINGS

_PARTS = {"unet": "UNet", "vae": "VAE", "text_encoder": "text encoder"}


def _wrapped(text: str) -> str:
    """Return text in lines of the card's width, for an entry of a list."""
    return textwrap.fill(text, 116).replace("\n", "\n  ")


def card(pipeline: Any, *, seed: int, told: str) -> str:
    """Return the card in Markdown; `told` says what was trained."""
    counts = {
        label: sum(weight.numel() for weight in getattr(pipeline, name).parameters())
        for name, label in _PARTS.items()
    }
    parts = ", ".join(f"{label} {count / 1e6:.2f}" for label, count in counts.items())
    return f"""# The demo's base model

A text-to-image model small enough to train a LoRA on in a minute, on a CPU. It has Stable Diffusion 1's parts in
diffusers' layout (`StableDiffusionPipeline`) and draws 64 x 64 pixels. `make demo` trains on it; tests do too.

- **Parameters**: {sum(counts.values()) / 1e6:.2f} million ({parts}), in half precision. 4 x 4 pixels are one latent.
- **Training data**: pictures that `lorapod.client.drawing` draws by code. No picture, text or weight comes from
  elsewhere.
- **Training**: `python scripts/demo_base.py OUT_DIR --seed {seed}`, with torch {torch.__version__} on {platform.machine()}.
  {_wrapped(told)}.
- **Prediction**: velocity, squared cosine schedule that ends in pure noise. Use DDIM with 12 to 20 steps and a guidance
  scale of 2 to 4.
- **Licence**: that of lorapod.

## What it knows

A prompt has the form `a photo of a red ball on grass`.

- Styles: {", ".join(STYLES)}
- Colours: {", ".join(COLOURS)}
- Things: {", ".join(THINGS)}
- Places: {", ".join(PLACES)}

It knows no other word: it spells them in letters, and draws some thing for them. A LoRA can give a word a meaning.

## Limits

One thing at a time, in the middle, without counting, sizes or relations. Small parts (windows, stars, outlines) are blurred.
Pencil sketches have no colours. It is a test subject and a demonstration, not a tool for pictures.
"""
