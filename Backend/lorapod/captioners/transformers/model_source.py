"""The model of a captioning, checked as far as that is possible without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lorapod.cached_models import has_snapshot
from lorapod.errors import InvalidInput, NotFound
from lorapod.model_paths import HUB_ID, ModelPaths
from lorapod.weights import SUFFIX

_CONFIG = "config.json"


@dataclass(frozen=True, kw_only=True)
class CaptionModel:
    """A model that may be loaded; two that are equal are the same weights."""

    #: A real path, or a Hub id.
    model: str
    #: Changes when a file of it is replaced; empty for a Hub id.
    stamp: str = ""


def find_caption_model(text: str, paths: ModelPaths, *, hub_cache: Path, offline: bool) -> CaptionModel:
    """Return the model that a request names.

    Raises:
        NotFound: no model has that name.
        InvalidInput: what is there cannot be loaded.
    """
    if not text.strip() or "\0" in text:
        raise InvalidInput("model: give a path in the workspace or a HuggingFace id.")
    path = paths.find(text)
    if path is not None:
        return _local(path)
    if not HUB_ID.fullmatch(text) or paths.names_own(text):
        raise NotFound(f"model: {text[:200]!r} is neither a folder in the workspace nor a HuggingFace id.")
    if offline and not has_snapshot(hub_cache, text):
        raise NotFound(
            f"model: {text[:200]!r} is not on this worker, which may not download (HF_HUB_OFFLINE).",
            hint="Name a model of the workspace.",
        )
    return CaptionModel(model=text)


def _local(path: Path) -> CaptionModel:
    if not (path / _CONFIG).is_file():
        raise InvalidInput(
            f"model: {path.name} is not a folder in transformers' layout: it has no {_CONFIG}.",
            hint="Give the folder of a model that makes text from images, or a HuggingFace id.",
        )
    try:
        kind = json.loads((path / _CONFIG).read_text("utf-8")).get("model_type")
    except (ValueError, AttributeError, OSError, RecursionError):
        kind = None
    if not isinstance(kind, str):
        raise InvalidInput(f"model: the {_CONFIG} of {path.name} names no `model_type`.")
    weights = sorted(path.glob(f"*{SUFFIX}"))
    if not weights:
        raise InvalidInput(
            f"model: the folder {path.name} holds no {SUFFIX} weights; other formats are not loaded."
        )
    stats = [one.stat() for one in (path / _CONFIG, *weights)]
    return CaptionModel(
        model=str(path), stamp=" ".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)
    )
