"""Prompts without the trigger word."""

from __future__ import annotations

import re


def has_trigger(prompt: str, trigger_word: str | None) -> bool:
    """Return whether a prompt names what the LoRA has learnt; one without a trigger word is in every prompt."""
    return trigger_word is None or _pattern(trigger_word).search(prompt) is not None


def without_trigger(prompt: str, trigger_word: str | None) -> str:
    """Return a prompt without the trigger word; empty if nothing else is in it."""
    if trigger_word is None:
        return prompt
    rest = _pattern(trigger_word).sub(" ", prompt)
    rest = re.sub(r"\s+([,.;:])", r"\1", " ".join(rest.split()))
    return re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", rest).strip(" ,;:.")


def _pattern(trigger_word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(trigger_word)}(?!\w)", re.IGNORECASE)
