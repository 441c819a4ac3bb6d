"""What a CLIP recognises in drawn scenes: it chooses among captions that differ in one word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from demo_base_parts.pictures import as_floats
from demo_base_parts.text import LENGTH
from lorapod.client.drawing.places import PLACES
from lorapod.client.drawing.scene import STYLES
from lorapod.client.drawing.things import COLOURS, THINGS

#: What a caption says, and the words it chooses from.
CHOICES: Mapping[str, Sequence[str]] = {
    "style": list(STYLES),
    "colour": list(COLOURS),
    "thing": list(THINGS),
    "place": list(PLACES),
}
_PATTERN = r"(?P<style>{style}) of an? (?:(?P<colour>{colour}) )?(?P<thing>{thing})(?: (?P<place>{place}))?$"
_CAPTION = re.compile("an? " + _PATTERN.format(**{name: "|".join(words) for name, words in CHOICES.items()}))


@torch.no_grad()
def recognised(model: Any, words: Any, pixels: torch.Tensor, captions: Sequence[str]) -> Mapping[str, float]:
    """Return how often it chooses the right word, 0 to 1, by what the word says.

    Args:
        model: a CLIP.
        words: its tokenizer.
        pixels: pictures as bytes, (count, 3, side, side).
        captions: of the pictures; a part that a caption leaves out is not asked for.
    """
    right = dict.fromkeys(CHOICES, 0)
    asked = dict.fromkeys(CHOICES, 0)
    images = _seen(model, words, pixels)
    for image, caption in zip(images, captions, strict=True):
        found = _CAPTION.match(caption)
        for name, choices in CHOICES.items():
            if found is None or found[name] is None:
                continue
            texts = [caption[: found.start(name)] + word + caption[found.end(name) :] for word in choices]
            asked[name] += 1
            right[name] += choices[int((_read(model, words, texts) @ image).argmax())] == found[name]
    return {name: right[name] / max(1, asked[name]) for name in CHOICES}


def _seen(model: Any, words: Any, pixels: torch.Tensor) -> torch.Tensor:
    seen: torch.Tensor = model(**_tokens(words, [""]), pixel_values=as_floats(pixels)).image_embeds
    return seen


def _read(model: Any, words: Any, texts: Sequence[str]) -> torch.Tensor:
    side = model.config.vision_config.image_size
    read: torch.Tensor = model(
        **_tokens(words, texts), pixel_values=torch.zeros(1, 3, side, side)
    ).text_embeds
    return read


def _tokens(words: Any, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
    tokens = words(list(texts), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    return {name: tokens[name] for name in ("input_ids", "attention_mask")}
