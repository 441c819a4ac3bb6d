"""Sample prompts with their flags: `a cat --w 768 --seed 7 --n blurry`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lorapod.trainers.prompt_flags import split_prompt

if TYPE_CHECKING:
    from lorapod.trainers.builtin.config import SampleSection

#: What each flag sets; AI Toolkit knows the same names.
_FLAGS = {
    "w": "width",
    "h": "height",
    "d": "seed",
    "seed": "seed",
    "s": "steps",
    "steps": "steps",
    "l": "guidance",
    "cfg": "guidance",
    "n": "negative",
}
_LEAST_SIDE, _MOST_SIDE = 64, 4096
_MOST_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class SamplePrompt:
    """One sample image as its prompt and the section `sample` ask for it."""

    text: str
    negative: str
    width: int
    height: int
    seed: int
    steps: int
    guidance: float

    @classmethod
    def of(cls, prompt: str, place: int, sample: SampleSection) -> SamplePrompt:
        """Read the prompt with this number.

        Raises:
            ValueError: a flag has a wrong value; the text is the rest of a sentence that begins with the field.
        """
        text, flags = split_prompt(prompt)
        found = cls(
            text=text,
            negative=sample.neg,
            width=sample.width,
            height=sample.height,
            seed=sample.seed + (place if sample.walk_seed else 0),
            steps=sample.sample_steps,
            guidance=sample.guidance_scale,
        )
        for flag in flags:
            if flag.name in _FLAGS:
                name = _FLAGS[flag.name]
                found = replace(found, **{name: _value(name, flag.name, flag.value)})
        return found


def problems(prompts: Sequence[str], sample: SampleSection, field: str) -> Iterator[tuple[str, str]]:
    """Yield field and problem of each prompt with a wrong flag."""
    for place, prompt in enumerate(prompts):
        try:
            SamplePrompt.of(prompt, place, sample)
        except ValueError as error:
            yield f"{field}[{place}]", str(error)


def unread_flags(prompts: Sequence[str], field: str) -> Iterator[str]:
    """Yield a warning for each flag that the builtin trainer does not read."""
    for place, prompt in enumerate(prompts):
        for flag in split_prompt(prompt)[1]:
            if flag.name not in _FLAGS:
                yield f"{field}[{place}]: the builtin trainer ignores --{flag.name} and the text behind it."


def _value(name: str, flag: str, text: str) -> Any:
    match name:
        case "negative":
            return text
        case "guidance":
            return _within(flag, _number(flag, text, float), 0, 1000)
        case "width" | "height":
            # As AI Toolkit does: the next smaller multiple of 8.
            side = _number(flag, text, int)
            return _within(flag, max(_LEAST_SIDE, side - side % 8), _LEAST_SIDE, _MOST_SIDE)
        case "steps":
            return _within(flag, _number(flag, text, int), 1, _MOST_STEPS)
    return _within(flag, _number(flag, text, int), 0, 2**62)


def _number(flag: str, text: str, kind: type[int | float]) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"--{flag} {text[:40]!r} is not {what}") from None


def _within(flag: str, number: float, least: float, most: float) -> float:
    if not least <= number <= most:
        raise ValueError(f"--{flag} {number} is not between {least} and {most}")
    return number
