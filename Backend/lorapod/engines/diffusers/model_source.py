"""The model that a generation uses, checked as far as that is possible without torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.cached_models import has_snapshot
from lorapod.engines.port import LoraUse
from lorapod.errors import InvalidInput, NotFound, WorkerError
from lorapod.model_paths import HUB_ID, ModelPaths
from lorapod.weights import SUFFIX, WeightsHeader, read_header

_INDEX = "model_index.json"


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model that may be loaded; two that are equal are the same weights."""

    #: A real path, or a hub id.
    model: str
    #: The folder whose configuration a single file has.
    config: Path | None = None
    #: Changes when a file of it is replaced; empty for a Hub id.
    stamp: str = ""


def find_model(text: str, paths: ModelPaths, *, hub_cache: Path, offline: bool) -> ModelSource:
    """Return the model that a request names.

    Raises:
        NotFound: no model has that name.
        InvalidInput: what is there cannot be loaded.
    """
    if not text.strip():
        raise InvalidInput("model: is empty.")
    path = paths.find(text)
    if path is not None:
        return _local(path)
    if not HUB_ID.fullmatch(text):
        raise NotFound(f"model: {text[:200]!r} is neither a path in the workspace nor a HuggingFace id.")
    if offline and not has_snapshot(hub_cache, text):
        raise NotFound(
            f"model: {text[:200]!r} is not on this worker, which may not download (HF_HUB_OFFLINE).",
            hint="Name a model of the workspace.",
        )
    return ModelSource(model=text)


def check_loras(loras: Sequence[LoraUse]) -> None:
    """Look at each file's header.

    Raises:
        InvalidInput: one is not a LoRA, or cut off.
        NotFound: one is gone.
    """
    for lora in loras:
        header = _whole(lora.path, f"The LoRA {lora.name}")
        if not header.is_lora:
            raise InvalidInput(f"{lora.path.name} is not a LoRA: it has no LoRA tensors.")


def stamp_of(paths: Iterable[Path]) -> str:
    """Return a text that changes when a file is replaced: sizes and times."""
    stats = [path.stat() for path in paths]
    return " ".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)


def _local(path: Path) -> ModelSource:
    if path.is_file():
        if _whole(path, f"model: {path.name}").is_lora:
            raise InvalidInput(
                f"model: {path.name} is a LoRA, not a base model.",
                hint="Name it in loras, beside its base model.",
            )
        config = path.with_suffix("")
        beside = config if (config / _INDEX).is_file() else None
        return ModelSource(model=str(path), config=beside, stamp=stamp_of([path]))
    if not (path / _INDEX).is_file():
        raise InvalidInput(
            f"model: the folder {path.name} is not in diffusers' layout: it has no {_INDEX}.",
            hint=f"Give such a folder, or one {SUFFIX} file.",
        )
    files = sorted(inner for inner in (*path.glob("*"), *path.glob("*/*")) if inner.is_file())
    if any(inner.suffix == ".py" for inner in files):
        raise InvalidInput(
            f"model: the folder {path.name} contains Python code, which this worker does not run."
        )
    if not any(inner.suffix == SUFFIX for inner in files):
        raise InvalidInput(
            f"model: the folder {path.name} holds no {SUFFIX} weights; other formats are not loaded.",
        )
    return ModelSource(model=str(path), stamp=stamp_of(files))


def _whole(path: Path, what: str) -> WeightsHeader:
    if path.suffix != SUFFIX:
        raise InvalidInput(f"{what} is not a {SUFFIX} file; other formats are not loaded.")
    try:
        header = read_header(path)
    except WorkerError as error:
        raise type(error)(f"{what} cannot be loaded: {error.message}") from error
    if not header.whole:
        raise InvalidInput(f"{what} is cut off: send or download it again.")
    return header
