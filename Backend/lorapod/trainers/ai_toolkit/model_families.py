"""Compares `model.arch` with the pipeline that a model folder in diffusers' format is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorapod.trainers.ai_toolkit.arch import arch_of
from lorapod.trainers.ai_toolkit.problems import Problems, shown

#: Architectures by the beginning of the pipeline's class name, the longest first; the first architecture is suggested.
_FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("StableDiffusionXL", ("sdxl", "ssd", "vega")),
    ("StableDiffusion3", ("sd3",)),
    ("StableDiffusion", ("sd1", "sd15", "sd1.5", "sd", "sd2")),
    ("PixArtSigma", ("pixart_sigma", "pixart")),
    ("PixArt", ("pixart", "pixart_sigma")),
    ("AuraFlow", ("auraflow",)),
    ("Lumina2", ("lumina2",)),
    ("Flux2", ("flux2", "flux2_klein_4b", "flux2_klein_9b")),
    ("Flux", ("flux", "flux_kontext", "flex2")),
    ("Chroma", ("chroma", "chroma_radiance")),
    ("QwenImage", ("qwen_image", "qwen_image_edit", "qwen_image_edit_plus")),
    ("Wan", ("wan21", "wan21_i2v", "wan22_14b", "wan22_14b_i2v", "wan22_5b")),
    ("HiDream", ("hidream", "hidream_e1", "hidream_o1")),
    ("CogView4", ("cogview4",)),
    ("OmniGen2", ("omnigen2",)),
    ("ZImage", ("zimage", "zimage_l2p")),
)
_KNOWN = frozenset(arch for _, archs in _FAMILIES for arch in archs)


def check_family(model: Mapping[str, Any], field: str, problems: Problems) -> None:
    """Add a problem if the model's folder is for another architecture; folders that say nothing pass.

    Args:
        model: the section `model`, with its paths resolved.
        field: the path of the section.
        problems: gets the problem.
    """
    folder, arch = model.get("name_or_path"), arch_of(model)
    pipeline = _pipeline(Path(folder)) if isinstance(folder, str) and folder.startswith("/") else None
    if pipeline is None or arch not in _KNOWN or problems.has(f"{field}.arch"):
        return
    for beginning, archs in _FAMILIES:
        if pipeline.startswith(beginning):
            if arch not in archs:
                problems.add(
                    f"{field}.arch",
                    f"the model in {shown(folder)!r} is a {shown(pipeline)}, but the config trains it as {arch!r}; "
                    f"use {archs[0]!r}",
                )
            return


def _pipeline(folder: Path) -> str | None:
    try:
        index = json.loads((folder / "model_index.json").read_bytes())
    except (OSError, ValueError):
        return None
    name = index.get("_class_name") if isinstance(index, dict) else None
    return name if isinstance(name, str) else None
