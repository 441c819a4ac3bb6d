"""Find the models that compare images: in the workspace, in the Hub's cache, or on the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorapod.comparisons.embedding.job import EmbeddingSource
from lorapod.errors import InvalidInput, NotFound
from lorapod.folders import entries_of
from lorapod.model_paths import HUB_ID, ModelPaths, cached_repository
from lorapod.weights import SUFFIX

#: Compares images. It sees subject and form, and is used if it is on the machine and no other is named.
IMAGE_MODEL = "facebook/dinov2-base"
#: Compares images with texts; used in the same way.
TEXT_MODEL = "openai/clip-vit-large-patch14"
#: Files that are downloaded of a Hub repository.
FILES = ("*.json", "*.txt", "*.model", f"*{SUFFIX}")

_CONFIG = "config.json"


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model that has to be downloaded first."""

    name: str


def find_embedding_model(
    text: str, paths: ModelPaths, *, field: str, hub_cache: Path, offline: bool
) -> EmbeddingSource | HubModel:
    """Return a model that a request or a setting names.

    Raises:
        NotFound: no model has that name.
        InvalidInput: what is there cannot be loaded.
    """
    path = paths.find(text) if text.strip() and "\0" not in text else None
    if path is not None:
        if not _is_whole(path):
            raise InvalidInput(
                f"{field}: {path.name} is not a folder in transformers' layout: it has no {_CONFIG} or no {SUFFIX} weights."
            )
        return EmbeddingSource(name=text, folder=path)
    if not HUB_ID.fullmatch(text) or paths.names_own(text):
        raise NotFound(f"{field}: {text[:200]!r} is neither a folder in the workspace nor a HuggingFace id.")
    cached = find_cached(text, hub_cache)
    if cached is not None:
        return cached
    if offline:
        raise NotFound(
            f"{field}: {text[:200]!r} is not on this worker, which may not download (HF_HUB_OFFLINE).",
            hint="Name a model of the workspace.",
        )
    return HubModel(name=text)


def find_cached(hub_id: str, hub_cache: Path) -> EmbeddingSource | None:
    """Return the newest complete download of a Hub repository; None without one."""
    repository = cached_repository(hub_cache, hub_id)
    try:
        main = (repository / "refs" / "main").read_text("utf-8").strip()
    except OSError:
        main = ""
    try:
        folders = [Path(entry.path) for entry in entries_of(repository / "snapshots")]
    except OSError:
        return None
    for folder in sorted(folders, key=lambda one: one.name != main):
        if _is_whole(folder):
            return EmbeddingSource(name=hub_id, folder=folder, revision=folder.name)
    return None


def _is_whole(folder: Path) -> bool:
    return (folder / _CONFIG).is_file() and any(path.is_file() for path in folder.glob(f"*{SUFFIX}"))
