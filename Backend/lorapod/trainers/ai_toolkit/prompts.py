"""Checks the flags of sample prompts; AI Toolkit fails at the first sample on a wrong value, and ignores unknown flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorapod.trainers.ai_toolkit.problems import Problems, shown
from lorapod.trainers.ai_toolkit.schema import ToolkitSchema
from lorapod.trainers.prompt_flags import split_prompt
from lorapod.wire.validation import nearest

_PROCESS = "config.process[0]"


def check_prompts(process: Mapping[str, Any], schema: ToolkitSchema, problems: Problems) -> None:
    """Add a problem for each flag with a wrong value, and a warning for each that is not read."""
    for field, prompt in _prompts(process):
        for flag in split_prompt(prompt)[1]:
            kind = schema.prompt_flags.get(flag.name)
            if kind is None:
                meant = nearest(flag.name, schema.prompt_flags)
                guess = f", did you mean --{meant}?" if meant else "."
                problems.warn(
                    f"{field}: AI Toolkit ignores --{shown(flag.name)} and the text behind it{guess}"
                )
            elif not _fits(flag.value, kind):
                what = "a whole number" if kind == "integer" else "a number"
                problems.add(field, f"--{flag.name} {shown(flag.value)!r} is not {what}")


def _prompts(process: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section in ("sample", "first_sample"):
        sample = process.get(section) or {}
        for key in ("prompts", "samples"):
            for place, entry in enumerate(sample.get(key) or []):
                prompt = entry.get("prompt") if isinstance(entry, dict) else entry
                if isinstance(prompt, str):
                    inner = ".prompt" if isinstance(entry, dict) else ""
                    yield f"{_PROCESS}.{section}.{key}[{place}]{inner}", prompt


def _fits(text: str, kind: str) -> bool:
    try:
        match kind:
            case "integer":
                int(text)
            case "number":
                float(text)
            case "list":
                [float(part) for part in text.split(",")]
    except ValueError:
        return False
    return True
