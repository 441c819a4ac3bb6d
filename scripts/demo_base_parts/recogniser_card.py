"""The card of the demo's model that recognises subjects, written from the model itself."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """How well subjects are known again that the model was not trained on."""

    #: How many there are.
    subjects: int
    #: Share of them of which the nearest of all other pictures is their own second one.
    found: float
    #: Share of them of which the second picture is nearer than one of the same subject with one part changed.
    told_from_changed: float


def recogniser_card(
    model: Any, *, subjects: int, batch: int, steps: int, seed: int, known: Recognition
) -> str:
    """Return the card in Markdown; `subjects` and `batch` are those of the training."""
    count = sum(weight.numel() for weight in model.parameters())
    return f"""# The demo's recogniser

A model that knows a drawn subject again in another place, style and position. `compare` measures with it how like the dataset
a picture is, and how much a LoRA changes other pictures. `make demo` uses it.

- **Parameters**: {count / 1e6:.2f} million, in half precision, in transformers' layout (`ConvNextModel`). It sees 64 x 64 pixels.
- **Training data**: {subjects} subjects that a script puts together from ellipses and polygons, each drawn twice by
  `lorapod.client.drawing`, at other places and in other styles. Every second one is the one before it with one part changed. No
  picture or weight comes from elsewhere.
- **Training**: `python scripts/demo_embedding.py OUT_DIR --only demo_recogniser --seed {seed}`, {steps} steps of {batch} subjects, with
  torch {torch.__version__} on {platform.machine()}. Two pictures of one subject get near vectors; those of others, and
  pictures that are bent out of shape or mere spots of the same colours, get far ones. Some pictures are blurred and noisy, as a
  small base model draws them.
- **Licence**: that of lorapod.

## What it sees

On {known.subjects} subjects that it was not trained on:

- of {known.subjects} pictures, it finds the second one of the same subject in {100 * known.found:.0f} of 100 cases (chance: {100 / known.subjects:.1f});
- it prefers the same subject to the one with a part changed in {100 * known.told_from_changed:.0f} of 100 cases (chance: 50).

It has never seen the demo's creature.

## Limits

It knows drawn subjects, and nothing of the world: for photographs, name `facebook/dinov2-base` as `embedding_model`.
"""
