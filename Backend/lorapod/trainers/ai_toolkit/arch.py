"""The architecture of the model that a config of AI Toolkit trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What selects an architecture in configs of earlier versions, in AI Toolkit's order.
_FLAGS = {
    "is_v2": "sd2",
    "is_v3": "sd3",
    "is_xl": "sdxl",
    "is_pixart": "pixart",
    "is_pixart_sigma": "pixart_sigma",
    "is_auraflow": "auraflow",
    "is_flux": "flux",
    "is_lumina2": "lumina2",
    "is_vega": "vega",
    "is_ssd": "ssd",
}


def arch_of(model: Mapping[str, Any]) -> str:
    """Return the architecture that AI Toolkit trains with a config's `model`, without the tag of its interface."""
    arch = model.get("arch")
    if isinstance(arch, str):
        name = arch.split(":", maxsplit=1)[0]
        return "flux" if name == "flex1" else name
    return next((name for flag, name in _FLAGS.items() if model.get(flag)), "sd1")


def arch_of_process(process: Mapping[str, Any]) -> str:
    """Return the architecture that one process of a config trains."""
    model = process.get("model")
    return arch_of(model if isinstance(model, Mapping) else {})
