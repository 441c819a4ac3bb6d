"""Write the README of a LoRA repository in the form that the HuggingFace Hub reads.

A card ends with a comment that holds its own digest. So any worker can tell whether a card was edited, without a list of
the cards that were written.
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
    """The model that a training makes, as far as its config says."""

    name: str
    #: As in the config: a repository of the Hub, or a path.
    base_model: str | None = None
    trigger_word: str | None = None
    #: The sample prompts, by their index.
    prompts: Sequence[str] = ()

    @property
    def hub_base(self) -> str | None:
        """The Hub's name of the base model; None if it is a file or a folder."""
        base = self.base_model or ""
        plain = _HUB_NAME.fullmatch(base) is not None and PurePosixPath(base).suffix not in _WEIGHTS
        return base if plain else None


@dataclass(frozen=True, kw_only=True)
class CardSample:
    """A sample image or video in the repository."""

    path: str
    #: Its prompt, if known.
    prompt: str | None = None


def lora_card(
    model: TrainedModel,
    *,
    repo_id: str,
    weights: str,
    step: int | None = None,
    samples: Sequence[CardSample] = (),
) -> str:
    """Return the text of a card: what the Hub indexes, and how to load the LoRA. Its owner must choose the licence.

    Args:
        model: what was trained.
        repo_id: the repository.
        weights: path of the safetensors file in the repository.
        step: the step of these weights.
        samples: images or videos of that step.
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
    """Return whether a card is as `lora_card` wrote it, for any model."""
    signed = _SIGNED.fullmatch(card)
    return signed is not None and _digest(signed[1]) == signed[2]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(text: str) -> str:
    """Return one line of text without characters that mean something in Markdown or HTML."""
    return " ".join(text.translate({ord(character): " " for character in "<>[]()`*_#!"}).split())


def _code(text: str) -> str:
    return f"`{' '.join(text.replace('`', '').split())}`"
