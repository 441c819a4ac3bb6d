"""A preset, as its file has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from lorapod.errors import InvalidInput
from lorapod.wire.validation import nearest

_SUFFIX = ".yaml"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How to train a LoRA of one base model."""

    name: str
    description: str
    #: GPU memory below which the training is not likely to fit, in bytes; a rule of thumb.
    min_gpu_memory_bytes: int
    #: Names of the trainers that can run it.
    trainers: tuple[str, ...]
    #: AI Toolkit config without name, dataset and output folder; never to be changed.
    config: Mapping[str, Any]


@cache
def names() -> tuple[str, ...]:
    """Every preset's name, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX)))


def get(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InvalidInput: there is none; the message names the nearest one.
    """
    if name not in names():
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        meant = nearest(name, names())
        raise InvalidInput(
            f"There is no preset {shown!r}{f', did you mean {meant!r}?' if meant else '.'}",
            hint=f"The presets are: {', '.join(names())}.",
            details=[{"field": "preset", "error": "unknown preset"}],
        )
    return _load(name)


@cache
def _load(name: str) -> Preset:
    text = (resources.files(__package__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    return Preset(
        name=name,
        description=content["description"],
        min_gpu_memory_bytes=content["min_gpu_memory_bytes"],
        trainers=tuple(content["trainers"]),
        config=content["config"],
    )
