"""What the card beside a new LoRA says: what its sources' cards say, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod import weights
from lorapod.errors import WorkerError
from lorapod.lora_tools.order import ConvertOrder, LoraToolOrder, MergeOrder
from lorapod.models.card import read_card
from lorapod.wire.catalog import ModelNotes

#: Fields that hold for the new LoRA if all sources agree.
_AGREED = ("license", "author", "base_model", "usage_hint")


def card_of(order: LoraToolOrder, paths: Sequence[Path]) -> Mapping[str, Any]:
    """Return the fields of the new card."""
    cards = [read_card(path) for path in paths]
    first = cards[0]
    card: dict[str, Any] = {
        name: getattr(first, name)
        for name in _AGREED
        if all(getattr(other, name) == getattr(first, name) for other in cards)
    }
    words = [_trigger_words(path, notes) for path, notes in zip(paths, cards, strict=True)]
    card["trigger_words"] = list(dict.fromkeys(word for some in words for word in some))[:100]
    card["tags"] = list(dict.fromkeys(tag for notes in cards for tag in notes.tags or ()))[:100]
    card["description"] = _description(order)
    return card


def _description(order: LoraToolOrder) -> str:
    if isinstance(order, MergeOrder):
        parts = ", ".join(f"{source.path} ({source.weight:g})" for source in order.loras)
        return f"Merged by {order.method.value} of {parts}."
    if isinstance(order, ConvertOrder):
        return f"{order.path}, converted for {order.format.value}."
    how = f"rank {order.rank}" if order.energy is None else f"{order.energy:.1%} of its energy"
    return f"{order.path}, reduced to {how}."


def _trigger_words(path: Path, notes: ModelNotes) -> Sequence[str]:
    if notes.trigger_words:
        return notes.trigger_words
    try:
        word = weights.read_header(path).trigger_word
    except WorkerError:
        return []
    return [word[:300]] if word else []
