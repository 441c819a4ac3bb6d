"""The README of a LoRA repository, as the HuggingFace Hub reads it."""

from __future__ import annotations

from collections.abc import Sequence

import yaml


def lora_card(
    *,
    name: str,
    weights: str,
    base_model: str | None = None,
    trigger_word: str | None = None,
    samples: Sequence[str] = (),
) -> str:
    """The card's text: what the Hub indexes, and how the LoRA is loaded.

    Args:
        name: as people read it.
        weights: the safetensors file, as a path in the repository.
        base_model: the Hub's name of what the LoRA was trained on; left out where that is a local file.
        trigger_word: what a prompt must hold.
        samples: pictures, as paths in the repository.
    """
    fields: dict[str, object] = {
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["lora", "diffusers", "text-to-image"],
    }
    if base_model is not None:
        fields["base_model"] = base_model
        fields["base_model_relation"] = "adapter"
    if trigger_word is not None:
        fields["instance_prompt"] = trigger_word
    head = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    paragraphs = [f"---\n{head}---", f"# {_plain(name)}"]
    if trigger_word is not None:
        paragraphs.append(f"Write `{trigger_word.replace('`', '')}` in the prompt.")
    paragraphs.append(f"The weights are in `{weights}`.")
    paragraphs += [f"![Sample]({_address(path)})" for path in samples]
    return "\n\n".join(paragraphs) + "\n"


def _plain(text: str) -> str:
    """One line of text without what Markdown or HTML would read as more than text."""
    return " ".join(text.translate({ord(character): " " for character in "<>[]()`*_#!"}).split())


def _address(path: str) -> str:
    return path.replace(" ", "%20").replace("(", "%28").replace(")", "%29")
