"""The trigger word in captions and prompts."""

from __future__ import annotations


def with_trigger(text: str, trigger_word: str | None, *, prepend: bool) -> str:
    """`[trigger]` replaced by the trigger word; with `prepend`, the word goes in front where it is not there yet."""
    word = (trigger_word or "").strip()
    replaced = text.replace("[trigger]", word)
    if prepend and word and word not in replaced:
        return f"{word} {replaced}".strip()
    return replaced.strip()
