"""How large a base model is, by architecture and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """The size of a base model; `sizes.yaml` says how each figure was found."""

    #: Millions of parameters of what is trained, of one expert.
    parameters: float
    #: Millions of parameters of all text encoders.
    text_encoders: float
    #: Bytes of activations for each pixel of a latent frame.
    activations: float
    #: Millions of multiply-adds of one pass over one pixel; None if unknown.
    forward: float | None = None
    #: Frames of a video that become one latent frame; 1 for models of images.
    frames: int = 1
    experts: int = 1


#: Architectures of the toolkit's older switches.
_SWITCHES = {"is_xl": "sdxl", "is_flux": "flux", "is_v3": "sd3", "is_lumina2": "lumina2", "is_v2": "sd2"}
_SD1 = frozenset({"sd", "sd1", "sd15", "sd1.5"})


def size_of(model: Mapping[str, Any]) -> ModelSize | None:
    """Return the size of a config's `model`; None if its architecture is not known here."""
    arch = model.get("arch")
    if arch is None:
        arch = next((name for switch, name in _SWITCHES.items() if model.get(switch)), "sd1")
    if not isinstance(arch, str):
        return None
    arch = arch.partition(":")[0]
    found = _sizes().get("sd1" if arch in _SD1 else arch)
    return None if found is None else found.get(str(model.get("name_or_path")), found[""])


@cache
def _sizes() -> Mapping[str, Mapping[str, ModelSize]]:
    """Return the sizes by architecture and model; the empty name is any other model."""
    content = yaml.safe_load((resources.files(__package__) / "sizes.yaml").read_text(encoding="utf-8"))
    sizes: dict[str, Mapping[str, ModelSize]] = {}
    for arch, fields in content.items():
        models = fields.pop("models", {})
        size = ModelSize(**fields)
        sizes[arch] = {"": size, **{name: replace(size, **changes) for name, changes in models.items()}}
    return sizes
