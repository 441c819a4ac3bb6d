"""What is special to a training of a sweep, in words for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: A value that is longer is cut.
_LONGEST = 40


def variant_label(variant: Mapping[str, Any]) -> str:
    """Return the knobs of a variant and their values, e.g. `rank 8, learning rate 0.0001`; empty if there are none."""
    return ", ".join(f"{name} {value}" for name, value in _parts(variant, ""))


def _parts(variant: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for knob, value in variant.items():
        name = f"{before}{knob.replace('_', ' ')}"
        if isinstance(value, Mapping) and value:
            yield from _parts(value, f"{name} ")
        else:
            yield name, _words(value)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        value = " + ".join(_words(one) for one in value)
    text = "" if value is None or isinstance(value, Mapping) else " ".join(str(value).split())
    if not text:
        return "none"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
