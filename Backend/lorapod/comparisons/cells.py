"""The cells of a comparison: one image for each checkpoint, weight, prompt and seed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorapod.comparisons.candidates import Candidate
from lorapod.engines.port import Generation, LoraUse

#: Of what a key is made of.
_KEY_VERSION = 1
_KEY_DIGITS = 24
#: The end of a cell's file name is its key.
FILE = re.compile(rf".*_(?P<key>[0-9a-f]{{{_KEY_DIGITS}}})\.(?:png|jpe?g|webp)")
_NAME_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """What all cells of a comparison are drawn with; None: the engine's own."""

    model: str | None = None
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    #: Denoising steps.
    sample_steps: int | None = None
    guidance_scale: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One image."""

    candidate: Candidate
    weight: float
    prompt: str
    seed: int
    settings: PictureSettings

    @property
    def model(self) -> str | None:
        """The base model: the request's, else the one that the LoRA was trained on."""
        return self.settings.model or self.candidate.base_model

    @property
    def file_stem(self) -> str:
        """What its file is called, before the key."""
        step = "" if self.candidate.step is None else f"_{self.candidate.step:09d}"
        name = re.sub(r"[^\w.-]+", "-", self.candidate.name)[:_NAME_CHARACTERS].strip("-.") or "lora"
        return f"{name}{step}_w{self.weight:g}_s{self.seed}"

    def generation(self, process_id: str, *, folder: Path, scratch: Path) -> Generation:
        """Return the generation that draws it; a weight of 0 draws the base model alone."""
        lora = LoraUse(path=self.candidate.path, weight=self.weight, name=self.candidate.path.stem)
        settings = self.settings
        return Generation(
            process_id=process_id,
            prompt=self.prompt,
            negative_prompt=settings.negative_prompt,
            width=settings.width,
            height=settings.height,
            steps=settings.sample_steps,
            guidance_scale=settings.guidance_scale,
            seed=self.seed,
            loras=(lora,) if self.weight else (),
            model=self.model,
            params=settings.params,
            folder=folder,
            scratch=scratch,
        )

    def view(self, path: str) -> dict[str, Any]:
        """Return it as answers show it; `path` is that of its image."""
        return {
            "process_id": self.candidate.process_id,
            "lora": self.candidate.path.name,
            "variant_label": self.candidate.variant or None,
            "step": self.candidate.step,
            "weight": self.weight,
            "prompt": self.prompt,
            "seed": self.seed,
            "path": path,
        }


@dataclass(frozen=True, kw_only=True)
class CellKeys:
    """Computes the key of a cell: two cells with the same key are the same picture."""

    #: Name and version of the engine.
    engine: Sequence[str]
    #: The sha256 of a file.
    sha256: Callable[[Path], str]
    #: A text that changes when a model's files change.
    model_state: Callable[[str | None], str]

    def of(self, cell: Cell) -> str:
        """Return the key.

        Raises:
            NotFound: its LoRA is gone.
            OSError: a file cannot be read.
        """
        settings = cell.settings
        decisive = {
            "version": _KEY_VERSION,
            "engine": list(self.engine),
            "model": [cell.model, self.model_state(cell.model)],
            "lora": [self.sha256(cell.candidate.path), cell.weight] if cell.weight else None,
            "prompt": [cell.prompt, settings.negative_prompt],
            "seed": cell.seed,
            "size": [settings.width, settings.height],
            "steps": settings.sample_steps,
            "guidance_scale": settings.guidance_scale,
            "params": settings.params,
        }
        text = json.dumps(decisive, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def all_cells(
    candidates: Sequence[Candidate],
    *,
    weights: Sequence[float],
    prompts: Sequence[str],
    seeds: Sequence[int],
    settings: PictureSettings,
) -> Sequence[Cell]:
    """Return every cell, so ordered that each base model and each LoRA is loaded once."""
    models = list(dict.fromkeys(settings.model or candidate.base_model for candidate in candidates))
    by_model = sorted(candidates, key=lambda one: models.index(settings.model or one.base_model))
    return [
        Cell(candidate=candidate, weight=weight, prompt=prompt, seed=seed, settings=settings)
        for candidate in by_model
        for weight in weights
        for prompt in prompts
        for seed in seeds
    ]
