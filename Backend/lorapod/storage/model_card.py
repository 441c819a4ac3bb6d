"""The README of a LoRA repository, as the HuggingFace Hub reads it.

A card ends with a comment that holds its own digest: so a card that somebody has edited is told from one that nobody
has, by any worker, without a list of what was written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

_VIDEOS = frozenset({".mp4", ".webm"})
_SIGNED = re.compile(
    r"(?s)(.*\n)<!-- Written by lorapod\. Once edited it is left alone\. ([0-9a-f]{64}) -->\n?"
)
#: The name of a repository on the Hub, unlike a path to a file.
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_WEIGHTS = frozenset({".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf"})


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """What a training makes, as far as its config tells."""

    name: str
    #: As the config names it: a repository of the Hub, or a path.
    base_model: str | None = None
    trigger_word: str | None = None
    #: Of the samples, by their index.
    prompts: Sequence[str] = ()

    @property
    def hub_base(self) -> str | None:
        """The Hub's name of the base model; None where it is a file or a folder."""
        base = self.base_model or ""
        plain = _HUB_NAME.fullmatch(base) is not None and PurePosixPath(base).suffix not in _WEIGHTS
        return base if plain else None


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A sample in the repository."""

    path: str
    #: What it was made from, where that is known.
    prompt: str | None = None


def lora_card(
    model: TrainedModel,
    *,
    repo_id: str,
    weights: str,
    step: int | None = None,
    samples: Sequence[Picture] = (),
) -> str:
    """The card's text: what the Hub indexes, and how the LoRA is loaded. It names no licence: that is its owner's word.

    Args:
        model: what was trained.
        repo_id: the repository.
        weights: the safetensors file, as a path in the repository.
        step: how far those weights were trained.
        samples: pictures or videos of that step.
    """
    video = any(PurePosixPath(sample.path).suffix in _VIDEOS for sample in samples)
    task = "text-to-video" if video else "text-to-image"
    fields: dict[str, Any] = {
        "library_name": "diffusers",
        "pipeline_tag": task,
        "tags": ["lora", "diffusers", task],
    }
    if model.hub_base is not None:
        fields["base_model"] = model.hub_base
        fields["base_model_relation"] = "adapter"
    if model.trigger_word is not None:
        fields["instance_prompt"] = model.trigger_word
    if samples:
        fields["widget"] = [
            {"text": sample.prompt or "-", "output": {"url": sample.path}} for sample in samples
        ]
    head = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    paragraphs = [f"---\n{head}---", f"# {_plain(model.name)}"]
    trained = f" for {step} steps" if step is not None else ""
    based = f" on {_code(model.base_model)}" if model.hub_base and model.base_model else ""
    paragraphs.append(f"A LoRA trained{based}{trained}.")
    if model.trigger_word is not None:
        paragraphs.append(f"Write {_code(model.trigger_word)} in the prompt.")
    paragraphs.append(f"The weights are in {_code(weights)}:")
    load = f"pipeline.load_lora_weights({repo_id!r}, weight_name={weights!r})"
    paragraphs.append(f"```python\n{load}\n```")
    if samples:
        paragraphs.append("<Gallery />")
    text = "\n\n".join(paragraphs) + "\n\n"
    return f"{text}<!-- Written by lorapod. Once edited it is left alone. {_digest(text)} -->\n"


def is_untouched(card: str) -> bool:
    """Whether a card is as `lora_card` wrote it, for whatever model."""
    signed = _SIGNED.fullmatch(card)
    return signed is not None and _digest(signed[1]) == signed[2]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(text: str) -> str:
    """One line of text without what Markdown or HTML would read as more than text."""
    return " ".join(text.translate({ord(character): " " for character in "<>[]()`*_#!"}).split())


def _code(text: str) -> str:
    return f"`{' '.join(text.replace('`', '').split())}`"
