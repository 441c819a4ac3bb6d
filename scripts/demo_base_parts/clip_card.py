"""The card of the demo's CLIP, written from the model itself."""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Mapping
from typing import Any

import torch

from demo_base_parts.recognition import CHOICES


def clip_card(
    model: Any, *, pictures: int, batch: int, steps: int, seed: int, known: Mapping[str, float]
) -> str:
    """Return the card in Markdown.

    Args:
        model: the CLIP.
        pictures: it was trained on.
        batch: pictures in each step.
        steps: of the training.
        seed: of the pictures and the training.
        known: how often it chooses the right word, 0 to 1, on pictures that it was not trained on.
    """
    count = sum(weight.numel() for weight in model.parameters())
    figures = ", ".join(
        f"the {name} in {100 * known[name]:.0f} of 100 (chance: {100 / len(words):.0f})"
        for name, words in CHOICES.items()
    )
    told = textwrap.fill(
        f"Among captions that differ in one word, it chooses the right one for {figures}.",
        116,
        subsequent_indent="  ",
    )
    return f"""# The demo's CLIP

A CLIP that is small enough to be shipped and to score pictures on a CPU in seconds. `compare` measures with it how well a
picture follows its prompt. `make demo` uses it, beside the demo's recogniser; tests of the ranking use it alone.

- **Parameters**: {count / 1e6:.2f} million, in half precision, in transformers' layout (`CLIPModel`). It sees 64 x 64 pixels.
- **Training data**: {pictures} pictures that `lorapod.client.drawing` draws by code, with their captions. No picture, text or
  weight comes from elsewhere.
- **Training**: `python scripts/demo_embedding.py OUT_DIR --only demo_clip --seed {seed}`, {steps} steps of {batch} pictures, with torch {torch.__version__}
  on {platform.machine()}.
- **Licence**: that of lorapod.

## What it sees

On 500 pictures of the same kind, which it was not trained on:

- {told}

It has never seen the demo's creature. It compares pictures of it by colours, shapes, place and style.

## Limits

It knows drawn scenes, and nothing of the world: for photographs, name `facebook/dinov2-base` as `embedding_model` and
`openai/clip-vit-large-patch14` as `text_image_model`. It often takes one thing for another of similar form.
"""
