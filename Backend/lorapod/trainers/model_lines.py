"""Which line of base models a config or a LoRA belongs to: a LoRA of one line cannot be loaded into another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

#: What trainers write of the base model into a LoRA, the most telling first.
_NOTES: Final = ("ss_base_model_version", "modelspec.architecture")

#: Lines by how their names begin once only letters and digits are left, the longest first. Names are those of
#: `model.arch`, of AI Toolkit's and kohya's `ss_base_model_version`, and of `modelspec.architecture`.
_BEGINNINGS: Final[tuple[tuple[str, str], ...]] = tuple(
    sorted(
        (
            (beginning, line)
            for line, beginnings in {
                "sd1": ("sd1", "sdv1", "stablediffusionv1"),
                "sd2": ("sd2", "sdv2", "stablediffusionv2"),
                "sdxl": ("sdxl", "stablediffusionxl"),
                "sd3": ("sd3", "stablediffusion3"),
                "flux": ("flux", "flex1"),
                "flex2": ("flex2",),
                "flux2": ("flux2",),
                "flux2_klein_4b": ("flux2klein4b",),
                "flux2_klein_9b": ("flux2klein9b",),
                "chroma": ("chroma",),
                "qwen_image": ("qwenimage",),
                "wan21": ("wan21",),
                "wan22_14b": ("wan2214b",),
                "wan22_5b": ("wan225b",),
                "hidream": ("hidream",),
                "lumina2": ("lumina2",),
                "omnigen2": ("omnigen2",),
                "zimage": ("zimage",),
                "ltx2": ("ltx2",),
                "krea2": ("krea2",),
            }.items()
            for beginning in beginnings
        ),
        key=lambda pair: -len(pair[0]),
    )
)
_PLAIN_SD: Final = frozenset({"sd"})
_FLAGS: Final = {"is_xl": "sdxl", "is_flux": "flux", "is_v3": "sd3", "is_v2": "sd2"}


def line_of_model(model: Mapping[str, Any]) -> str | None:
    """Return the line of a config's section `model`; AI Toolkit's default is Stable Diffusion 1."""
    arch = model.get("arch")
    if isinstance(arch, str):
        return line_of_arch(arch)
    return next((line for flag, line in _FLAGS.items() if model.get(flag)), "sd1")


def line_of_arch(arch: str) -> str:
    """Return the line of a `model.arch`; an unknown one has its own line."""
    name = arch.partition(":")[0]
    return "sd1" if name in _PLAIN_SD else _known(name) or name


def line_of_notes(metadata: Mapping[str, str]) -> str | None:
    """Return the line that the metadata of a LoRA names, or None if it names none that is known."""
    for key in _NOTES:
        if line := _known(metadata.get(key, "")):
            return line
    return None


def _known(name: str) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((line for beginning, line in _BEGINNINGS if plain.startswith(beginning)), None)
