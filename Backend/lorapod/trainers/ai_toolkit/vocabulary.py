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
from lorapod.trainers.ai_toolkit.schema import toolkit_schema

#: Process types that train one model from a dataset; all but the last are one trainer under several names.
STANDARD_TYPES = frozenset({"sd_trainer", "ui_trainer", "textual_inversion_trainer", "diffusion_trainer"})

#: Names of SD 1.x that callers use; AI Toolkit treats them as unknown, which means SD 1.x.
_SD1_NAMES = frozenset({"sd", "sd1", "sd15", "sd1.5"})

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
    #: Process types that do not train.
    not_trainings: frozenset[str]
    #: Architectures with their own class; the others share the oldest class, which lacks newer features.
    own_class_archs: frozenset[str]


@lru_cache(maxsize=4)
def vocabulary(root: Path, version: str | None) -> Vocabulary:
    """Return what the installation at `root` knows; `version` is part of the cache's key, so an update is read again."""
    del version
    archs: set[str] = set()
    types: set[str] = set()
    for text in _sources(root):
        archs.update(_ARCH.findall(text))
        types.update(_UID.findall(text))
    own = set(archs)
    literal = _ARCH_LITERAL.search(_read(root / "toolkit" / "config_modules.py"))
    archs.update(_QUOTED.findall(literal[1]) if literal else ())
    # The schema's names are added, because an unusual checkout may define them in a way that is not found here.
    schema = toolkit_schema()
    return Vocabulary(
        archs=frozenset(archs) | schema.archs | _SD1_NAMES,
        process_types=frozenset(types) | frozenset(schema.process_types),
        not_trainings=frozenset(name for name, kind in schema.process_types.items() if not kind.trains),
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
