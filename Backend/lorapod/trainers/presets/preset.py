"""Presets, one file each: a description, the GPUs that they need, and a config.

A preset's `process` changes `_base.yaml`, and a tier's `process` changes both. A mapping changes the keys that it names;
over a list (`datasets`) it changes every entry; everything else replaces what was there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from lorapod.errors import InvalidInput
from lorapod.wire.presets import Learns
from lorapod.wire.validation import nearest

_SUFFIX = ".yaml"
_BASE = "_base"


@dataclass(frozen=True, kw_only=True)
class Tier:
    """A preset's settings for GPUs with at least so much memory."""

    name: str
    gpu_memory_bytes: int
    #: Changes to the preset's process.
    process: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A training config for LoRAs of one base model."""

    name: str
    description: str
    #: The licence of the base model.
    licence: str
    #: Whether the Hub hands out the base model only to accounts that accepted its terms.
    gated: bool
    learns: tuple[Learns, ...]
    #: Names of the trainers that can run it.
    trainers: tuple[str, ...]
    #: The one with the least memory first.
    tiers: tuple[Tier, ...]
    #: Where its values come from: a file of AI Toolkit, or `ui:` and a model of its UI.
    upstream: str
    #: Whether every sample needs a control image, so that there are none unless the caller's prompts name one each.
    samples_need_control: bool
    #: AI Toolkit config without name, dataset and output folder. Do not change it: all callers share it.
    config: Mapping[str, Any]

    @property
    def base_model(self) -> str:
        """Return the Hub id of the model that it trains."""
        name: str = self.config["config"]["process"][0]["model"]["name_or_path"]
        return name

    @property
    def min_gpu_memory_bytes(self) -> int:
        """Return the GPU memory that it needs at least, by rule of thumb."""
        return self.tiers[0].gpu_memory_bytes

    def tier(self, name: str) -> Tier:
        """Return the tier with this name.

        Raises:
            InvalidInput: it does not exist.
        """
        for tier in self.tiers:
            if tier.name == name:
                return tier
        known = ", ".join(tier.name for tier in self.tiers)
        raise InvalidInput(
            f"The preset {self.name!r} has no tier {_short(name)!r}; its tiers are {known}.",
            details=[{"field": "tier", "error": f"must be one of {known}"}],
        )

    def tier_for(self, gpu_memory_bytes: int | None) -> Tier:
        """Return the largest tier that fits a GPU; the smallest if none fits or the GPU is unknown."""
        fitting = [tier for tier in self.tiers if tier.gpu_memory_bytes <= (gpu_memory_bytes or 0)]
        return fitting[-1] if fitting else self.tiers[0]


@cache
def names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    files = [file.name for file in resources.files(__package__).iterdir()]
    return tuple(
        sorted(
            name.removesuffix(_SUFFIX)
            for name in files
            if name.endswith(_SUFFIX) and not name.startswith("_")
        )
    )


def get(name: str) -> Preset:
    """Return the preset with this name.

    Raises:
        InvalidInput: it does not exist; the message suggests the nearest name.
    """
    if name not in names():
        shown = _short(name)
        meant = nearest(name, names())
        raise InvalidInput(
            f"There is no preset {shown!r}{f', did you mean {meant!r}?' if meant else '.'}",
            hint=f"The presets are: {', '.join(names())}.",
            details=[{"field": "preset", "error": "unknown preset"}],
        )
    return _load(name)


def merged(base: Any, changes: Any) -> Any:
    """Return `base` with `changes` in it; see above. Neither is changed, but the result shares their parts."""
    if isinstance(changes, Mapping) and isinstance(base, Mapping):
        return {
            **base,
            **{key: merged(base[key], value) if key in base else value for key, value in changes.items()},
        }
    if isinstance(changes, Mapping) and isinstance(base, Sequence):
        return [merged(entry, changes) for entry in base]
    return changes


def _short(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:77]}..."


@cache
def _load(name: str) -> Preset:
    content = _read(name)
    base = _read(_BASE)
    process = merged(base["config"]["process"][0], content["process"])
    samples_need_control = content.get("samples_need_control", False)
    if samples_need_control:
        process = merged(process, {"sample": {"prompts": []}, "train": {"disable_sampling": True}})
    return Preset(
        name=name,
        description=content["description"],
        licence=content["licence"],
        gated=content["gated"],
        learns=tuple(Learns(kind) for kind in content["learns"]),
        trainers=tuple(content["trainers"]),
        tiers=tuple(
            Tier(name=tier, gpu_memory_bytes=fields["gpu_memory_bytes"], process=fields.get("process", {}))
            for tier, fields in content["tiers"].items()
        ),
        upstream=content["upstream"],
        samples_need_control=samples_need_control,
        config={**base, "config": {"process": [process]}},
    )


@cache
def _read(name: str) -> dict[str, Any]:
    text = (resources.files(__package__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content
