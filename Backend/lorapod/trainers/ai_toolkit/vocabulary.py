"""Reads the model architectures and process types that an installation knows from its sources, as text.

AI Toolkit silently trains an unknown `arch` as SD 1.x, and reports an unknown process type only after it has imported
every extension; both are found here first. Nothing of AI Toolkit is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lorapod.folders import files_below

#: Process types that train one model from a dataset; all but the last are one trainer under several names.
STANDARD_TYPES = frozenset({"sd_trainer", "ui_trainer", "textual_inversion_trainer", "diffusion_trainer"})

#: Built-in process types that do not train.
NOT_TRAININGS = frozenset(
    {
        "AceStepCaptioner",
        "Ideogram4Captioner",
        "Qwen3OmniCaptioner",
        "Qwen3VLCaptioner",
        "batch_img2img",
        "dataset_tools",
        "example_merge_extension",
        "pure_lora_generator",
        "reference_generator",
        "super_tagger",
        "sync_from_collection",
    }
)

#: Names of SD 1.x that callers and AI Toolkit's own UI use; AI Toolkit treats them as unknown, which means SD 1.x.
_SD1_NAMES = frozenset({"sd", "sd1", "sd15", "sd1.5"})

#: Those of version 0.12.26, in case the sources cannot be read.
_KNOWN_ARCHS = _SD1_NAMES | frozenset(
    """
    sd2 sd3 sdxl pixart pixart_sigma auraflow flux flex1 flex2 lumina2 vega ssd wan21 wan21_i2v cogview4 anima
    ace_step_15 ace_step_15_xl boogu_image boogu_image_edit chroma chroma_radiance ernie_image f-lite flux2
    flux2_klein_4b flux2_klein_9b flux_kontext hidream hidream_e1 hidream_o1 ideogram4 krea2 ltx2 ltx2.3 ltx2.5
    mageflow mageflow_edit minimax_h3 minimax_h3_ref2va nucleus_image omnigen2 prx_pixel qwen_image
    qwen_image_edit qwen_image_edit_plus wan22_14b wan22_14b_i2v wan22_5b zeta_chroma zimage zimage_l2p
    """.split()
)
_KNOWN_TYPES = (
    STANDARD_TYPES
    | NOT_TRAININGS
    | {"concept_replacer", "concept_slider", "image_reference_slider_trainer", "ultimate_slider_trainer"}
)

_EXTENSIONS = ("extensions", "extensions_built_in")
_ARCH = re.compile(
    r"""^[ \t]+arch[ \t]*(?::[^=\n]+)?=[ \t]*["']([\w.\-]{1,60})["'][ \t]*(?:#.*)?$""", re.MULTILINE
)
_UID = re.compile(
    r"""^[ \t]+uid[ \t]*(?::[^=\n]+)?=[ \t]*["']([\w.\-]{1,60})["'][ \t]*(?:#.*)?$""", re.MULTILINE
)
_ARCH_LITERAL = re.compile(r"^ModelArch\s*=\s*Literal\[([^\]]{1,5000})\]", re.MULTILINE)
_QUOTED = re.compile(r"""["']([\w.\-]{1,60})["']""")

#: A template, not a model that can be trained.
_TEMPLATE_FOLDER = "example_model"


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The architectures and process types that a config may use."""

    archs: frozenset[str]
    process_types: frozenset[str]
    #: Architectures with a class of their own; the others share the oldest class, which lacks newer features.
    own_class_archs: frozenset[str]


@lru_cache(maxsize=4)
def vocabulary(root: Path, version: str | None) -> Vocabulary:
    """Return what the installation at `root` knows; `version` is part of the cache's key, so an update is read anew."""
    del version
    archs: set[str] = set()
    types: set[str] = set()
    for text in _sources(root):
        archs.update(_ARCH.findall(text))
        types.update(_UID.findall(text))
    own = set(archs)
    literal = _ARCH_LITERAL.search(_read(root / "toolkit" / "config_modules.py"))
    archs.update(_QUOTED.findall(literal[1]) if literal else ())
    # The known names are added, because an old or unusual checkout may define them in a way that is not found here.
    return Vocabulary(
        archs=frozenset(archs) | _KNOWN_ARCHS,
        process_types=frozenset(types) | _KNOWN_TYPES,
        own_class_archs=frozenset(own),
    )


def _sources(root: Path) -> Iterator[str]:
    folders = [root / name for name in _EXTENSIONS]
    for folder in [*folders, root / "toolkit" / "models"]:
        for path in sorted(Path(entry.path) for entry in files_below(folder) if entry.name.endswith(".py")):
            if _TEMPLATE_FOLDER not in path.parts:
                yield _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
