"""Presets, one file each, and how a preset and a caller's knobs become a whole training config."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from lorapod.errors import InvalidInput
from lorapod.wire.knobs import TrainKnobs
from lorapod.wire.validation import nearest

_SUFFIX = ".yaml"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A training config for LoRAs of one base model."""

    name: str
    description: str
    #: GPU memory that the training is likely to need, in bytes; a rule of thumb.
    min_gpu_memory_bytes: int
    #: Names of the trainers that can run it.
    trainers: tuple[str, ...]
    #: AI Toolkit config without name, dataset and output folder. Do not change it: all callers share it.
    config: Mapping[str, Any]


@cache
def names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX)))


def get(name: str) -> Preset:
    """Return the preset with this name.

    Raises:
        InvalidInput: it does not exist; the message suggests the nearest name.
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


#: The config keys that each single-valued knob sets, below `config.process[0]`.
_PLACES: dict[str, tuple[tuple[str, ...], ...]] = {
    "steps": (("train", "steps"),),
    "learning_rate": (("train", "lr"),),
    "rank": (("network", "linear"), ("network", "linear_alpha")),
    "batch_size": (("train", "batch_size"),),
    "trigger_word": (("trigger_word",),),
    "sample_every": (("sample", "sample_every"),),
    "save_every": (("save", "save_every"),),
    "seed": (("training_seed",), ("sample", "seed")),
    "model": (("model", "name_or_path"),),
    "optimizer": (("train", "optimizer"),),
}


def build_config(preset: str, knobs: TrainKnobs) -> dict[str, Any]:
    """Return a copy of the preset's config with the knobs applied.

    The config has no name, no dataset folder and no output folder: these come with the request.

    Raises:
        InvalidInput: the preset does not exist.
    """
    config: dict[str, Any] = copy.deepcopy(dict(get(preset).config))
    process = config["config"]["process"][0]
    for knob, value in knobs.model_dump(mode="json", exclude_none=True).items():
        for place in _PLACES.get(knob, ()):
            _put(process, place, value)
    if knobs.resolution is not None:
        _set_resolution(process, knobs.resolution)
    _set_prompts(process, knobs)
    return config


def _put(process: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    section = process
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value


def _set_resolution(process: dict[str, Any], resolution: int | list[int]) -> None:
    sizes = [resolution] if isinstance(resolution, int) else sorted(set(resolution))
    for dataset in process["datasets"]:
        dataset["resolution"] = sizes
    sample = process["sample"]
    # Square samples get the resolution of the training images; a video keeps the frame size of its model.
    if sizes and sample["width"] == sample["height"]:
        sample["width"] = sample["height"] = max(sizes)


def _set_prompts(process: dict[str, Any], knobs: TrainKnobs) -> None:
    """Set the prompts of the samples: the caller's, else the trigger word, else the preset's."""
    if knobs.sample_prompts is not None:
        process["sample"]["prompts"] = list(knobs.sample_prompts)
        process["train"]["disable_sampling"] = not knobs.sample_prompts
    elif knobs.trigger_word is not None:
        process["sample"]["prompts"] = [knobs.trigger_word]
