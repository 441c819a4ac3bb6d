"""How large a base model is, by architecture and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from lorapod.errors import WorkerError
from lorapod.folders import files_below
from lorapod.weights import SUFFIX, read_header


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
#: Bytes of a number, by its name in a safetensors header.
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
_SD1 = frozenset({"sd", "sd1", "sd15", "sd1.5"})


def size_of(model: Mapping[str, Any]) -> ModelSize | None:
    """Return the size of a config's `model`; None if its architecture is not known here."""
    arch = arch_of(model)
    found = None if arch is None else _sizes().get(arch)
    if found is None:
        return None
    name = str(model.get("name_or_path"))
    size = found.get(name, found[""])
    return _scaled(size, _counted(Path(name))) if name.startswith("/") else size


def arch_of(model: Mapping[str, Any]) -> str | None:
    """Return the architecture of a config's `model`, by one name for each; None if it is not a text."""
    arch = model.get("arch")
    if arch is None:
        arch = next((name for switch, name in _SWITCHES.items() if model.get(switch)), "sd1")
    if not isinstance(arch, str):
        return None
    arch = arch.partition(":")[0]
    return "sd1" if arch in _SD1 else arch


def _scaled(size: ModelSize, parameters: float | None) -> ModelSize:
    """Return the size of a smaller model of the same architecture; one in 16 or fewer bits is never a larger one."""
    share = min(1.0, (parameters or size.parameters) / size.parameters)
    return replace(
        size,
        parameters=size.parameters * share,
        text_encoders=size.text_encoders * share,
        activations=size.activations * share,
        forward=None if size.forward is None else size.forward * share,
    )


def _counted(path: Path) -> float | None:
    """Return the millions of parameters of a local model, of its transformer or U-Net if it is a folder; None if unknown."""
    folders = [path / name for name in ("transformer", "unet") if (path / name).is_dir()]
    files = [Path(entry.path) for entry in files_below(folders[0])] if folders else [path]
    counted = 0.0
    for file in files:
        if file.suffix != SUFFIX:
            continue
        try:
            header = read_header(file)
        except WorkerError:
            return None
        widest = max(header.dtypes, key=lambda dtype: header.dtypes[dtype], default="")
        counted += header.tensor_bytes / _BYTES.get(widest, 2)
    return counted / 1e6 or None


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
