"""Find the tokenizer that a training reads its captions with: on the volume, or among what the Hub was asked for before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorapod.datasets.gallery.tokenizer import (
    CaptionTokenizer,
    TokenizerUnusable,
    is_tokenizer,
    open_tokenizer,
)
from lorapod.folders import entries_of
from lorapod.model_paths import ModelPaths, cached_repository
from lorapod.trainers.presets import preset as presets

#: A repository of the Hub; a file in it may follow.
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(?=/|$)")


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """How a trainer reads captions for the models whose architecture begins with one of some words."""

    archs: tuple[str, ...]
    #: Folders of the base model, the first that is there.
    folders: tuple[str, ...]
    #: Most tokens of a caption, with those that begin and end it; None: not known.
    limit: int | None
    #: A repository of the Hub with the same tokenizer.
    same: str | None = None


#: As AI Toolkit 0.12.26 reads captions (`toolkit/train_tools.py` and its models), the first that fits. Of several text
#: encoders, the one that reads the most.
_READINGS = (
    _Reading(
        archs=("sd1", "sd2", "sdxl", "ssd", "vega"),
        folders=("tokenizer", "."),
        limit=77,
        same="openai/clip-vit-large-patch14",
    ),
    _Reading(archs=("sd3",), folders=("tokenizer_3",), limit=256),
    _Reading(archs=("flux2",), folders=("tokenizer",), limit=None),
    _Reading(archs=("flux", "flex1", "flex2", "chroma"), folders=("tokenizer_2", "tokenizer"), limit=512),
    _Reading(archs=("wan",), folders=("tokenizer",), limit=512),
    _Reading(archs=("hidream_o1",), folders=("tokenizer",), limit=None),
    _Reading(archs=("hidream",), folders=("tokenizer_3",), limit=128),
    _Reading(archs=("qwen_image", "ltx2"), folders=("tokenizer",), limit=1024),
)
_UNKNOWN = _Reading(archs=(), folders=("tokenizer", "tokenizer_2"), limit=None)


@dataclass(frozen=True, kw_only=True)
class CaptionReader:
    """The model that will read the captions."""

    #: A folder or file of the workspace, or a Hub id; None: what the presets of `arch` train.
    name: str | None = None
    #: As in a config.
    arch: str | None = None

    @classmethod
    def of_preset(cls, name: str) -> CaptionReader:
        """Return the model that a preset trains.

        Raises:
            InvalidInput: there is no such preset.
        """
        preset = presets.get(name)
        model = preset.config["config"]["process"][0]["model"]
        return cls(name=preset.base_model, arch=model.get("arch"))


def find_caption_tokenizer(model: CaptionReader, paths: ModelPaths, hub_cache: Path) -> CaptionTokenizer:
    """Return the tokenizer of a model; nothing is downloaded.

    Raises:
        TokenizerUnusable: it is not on this worker, or cannot be read.
    """
    reading = _reading_of(model.arch)
    names = list(dict.fromkeys(_names(model, reading)))
    unusable: TokenizerUnusable | None = None
    for name in names:
        for root in _roots(name, paths, hub_cache):
            for folder in reading.folders:
                if is_tokenizer(root / folder):
                    shown = name if folder == "." else f"{name}/{folder}"
                    try:
                        return open_tokenizer(root / folder, name=shown, limit=reading.limit)
                    except TokenizerUnusable as error:
                        unusable = unusable or error
    if unusable is not None:
        raise unusable
    if not names:
        raise TokenizerUnusable(f"no preset trains the architecture {str(model.arch)[:60]!r}")
    raise TokenizerUnusable(f"the tokenizer of {names[0][:200]} is not on this worker")


def _reading_of(arch: str | None) -> _Reading:
    lower = (arch or "").lower()
    return next((one for one in _READINGS if lower.startswith(one.archs)), _UNKNOWN)


def _names(model: CaptionReader, reading: _Reading) -> Iterator[str]:
    """Yield the models in which the tokenizer may be: the model itself, then those that have the same one."""
    if model.name:
        yield model.name
    if model.arch is not None:
        for name in presets.names():
            other = CaptionReader.of_preset(name)
            if other.arch == model.arch and other.name is not None:
                yield other.name
    if reading.same is not None:
        yield reading.same


def _roots(name: str, paths: ModelPaths, hub_cache: Path) -> Iterator[Path]:
    """Yield the folders of a model that are on this worker."""
    path = None if "\0" in name else paths.find(name)
    if path is not None and path.is_dir():
        yield path
    elif (named := _REPOSITORY.match(name)) is not None:
        # The newest snapshot may be half downloaded: each is a separate folder.
        with suppress(OSError):
            snapshots = list(entries_of(cached_repository(hub_cache, named[0]) / "snapshots"))
            for entry in sorted(snapshots, key=lambda one: -one.stat().st_mtime):
                yield Path(entry.path)
