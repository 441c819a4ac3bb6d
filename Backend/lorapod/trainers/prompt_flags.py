"""Sample prompts and their flags: `a cat --w 768 --ctrl_img training_data/cats/1.png --n blurry`, as AI Toolkit reads them.

Everything from `--` to the next `--` belongs to one flag, so a value may have spaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MARK = "--"


@dataclass(frozen=True, kw_only=True)
class PromptFlag:
    """One flag: its name without the dashes, and the text behind it."""

    name: str
    value: str


def sample_prompts(config: Mapping[str, Any]) -> Sequence[str]:
    """Return the sample prompts of an accepted config without their flags, in the order of the sample numbers."""
    match config:
        case {"config": {"process": [{"sample": dict(sample), **process}, *_]}}:
            trigger = str(process.get("trigger_word") or "[trigger]")
        case _:
            return ()
    listed = sample.get("samples") or sample.get("prompts") or ()
    texts = [entry.get("prompt", "") if isinstance(entry, dict) else entry for entry in listed]
    return [split_prompt(str(text))[0].replace("[trigger]", trigger) for text in texts]


def split_prompt(text: str) -> tuple[str, Sequence[PromptFlag]]:
    """Return the prompt without its flags, and the flags in their order."""
    prompt, *parts = text.strip().split(_MARK)
    flags = []
    for part in parts:
        name = part.split(" ", maxsplit=1)[0].strip()
        flags.append(PromptFlag(name=name, value=part[len(name) :].strip()))
    return prompt.strip(), flags


def with_flags(text: str, changed: Callable[[PromptFlag], str]) -> str:
    """Return the prompt with the values that `changed` returns, and everything else as it is if no value changes."""
    prompt, flags = split_prompt(text)
    values = [changed(flag) for flag in flags]
    if values == [flag.value for flag in flags]:
        return text
    return " ".join(
        [prompt, *(f"{_MARK}{flag.name} {value}" for flag, value in zip(flags, values, strict=True))]
    )
