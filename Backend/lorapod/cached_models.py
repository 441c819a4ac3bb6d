"""Models of the HuggingFace Hub that are here already: on the host, where RunPod keeps one ready, or on the volume.

RunPod downloads an endpoint's cached model onto its hosts, unbilled, before a worker starts. Every program that loads models
looks into one cache alone, the volume's. So the files on the host are linked into it, one by one: a worker without that cache
finds a link that leads nowhere, which counts as a missing file, and huggingface_hub replaces it by a download.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from lorapod.atomic import write_atomically
from lorapod.folders import entries_of, files_below
from lorapod.model_paths import cached_repository
from lorapod.settings import Settings

logger = logging.getLogger(__name__)

#: What a repository's folder in a cache begins with.
_PREFIX: Final = "models--"
#: The folders of a repository whose files are linked: contents by digest, and the names of each commit.
_LINKED: Final = ("blobs", "snapshots")
_MAIN: Final = "main"


class ModelPlace(StrEnum):
    """Where a base model comes from."""

    #: The host, where RunPod keeps it ready.
    RUNPOD_CACHE = "runpod_cache"
    #: The cache of the HuggingFace libraries, on the volume.
    VOLUME = "volume"


@dataclass(frozen=True, kw_only=True)
class CachedModel:
    """A model that is here."""

    hub_id: str
    place: ModelPlace


@dataclass(frozen=True, kw_only=True)
class CachedModels:
    """The models of the Hub that this worker has."""

    #: Where RunPod puts an endpoint's cached model; it need not exist.
    platform: Path
    #: The cache of the HuggingFace libraries.
    hub_cache: Path
    #: The model that RunPod should keep, by the endpoint's settings.
    wanted: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> CachedModels:
        """Return the models of a worker with these settings."""
        return cls(
            platform=settings.model_cache_path, hub_cache=settings.hub_cache, wanted=settings.cached_model
        )

    def find(self, hub_id: str) -> CachedModel | None:
        """Return a model if it is here."""
        if has_snapshot(self.platform, hub_id):
            return CachedModel(hub_id=hub_id, place=ModelPlace.RUNPOD_CACHE)
        if has_snapshot(self.hub_cache, hub_id):
            return CachedModel(hub_id=hub_id, place=ModelPlace.VOLUME)
        return None

    def all(self) -> Sequence[CachedModel]:
        """Return every model that is here, by its id."""
        names = sorted({*_hub_ids(self.platform), *_hub_ids(self.hub_cache)})
        return [found for name in names if (found := self.find(name)) is not None]

    def link(self) -> Sequence[str]:
        """Let every program find what RunPod keeps on the host; return the ids. What cannot be linked is downloaded."""
        linked = []
        for hub_id in _hub_ids(self.platform):
            try:
                if has_snapshot(self.platform, hub_id):
                    _link_repository(
                        cached_repository(self.platform, hub_id), cached_repository(self.hub_cache, hub_id)
                    )
                    linked.append(hub_id)
            except OSError as error:
                reason = {"model": hub_id, "reason": error.strerror}
                logger.warning("a cached model cannot be used, it will be downloaded", extra=reason)
        if linked:
            logger.info("models of RunPod's cache", extra={"models": linked})
        return linked


def has_snapshot(hub_cache: Path, hub_id: str) -> bool:
    """Return whether a cache has files of a repository; links that lead nowhere do not count."""
    try:
        snapshots = cached_repository(hub_cache, hub_id) / "snapshots"
        return any(Path(entry.path).exists() for entry in files_below(snapshots))
    except OSError:
        return False


def _hub_ids(cache: Path) -> Sequence[str]:
    try:
        names = [entry.name for entry in entries_of(cache)]
    except OSError:
        return []
    return sorted(name.removeprefix(_PREFIX).replace("--", "/") for name in names if name.startswith(_PREFIX))


def _link_repository(source: Path, target: Path) -> None:
    """Link each file that the target has not itself.

    Raises:
        OSError: the target cannot be written.
    """
    if target.resolve() == source.resolve():
        return
    for folder in _LINKED:
        for entry in files_below(source / folder):
            path = Path(entry.path)
            link = target / path.relative_to(source)
            if path.exists() and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                _put_link(path.resolve(), link)
    main = _main_commit(source)
    known = target / "refs" / _MAIN
    if main is not None and not (target / "snapshots" / (_text(known) or "-")).is_dir():
        known.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(known, main.encode())


def _main_commit(repository: Path) -> str | None:
    """Return the commit of the main branch, or the only one that is there."""
    if (noted := _text(repository / "refs" / _MAIN)) is not None:
        return noted
    commits = [entry.name for entry in entries_of(repository / "snapshots")]
    return commits[0] if len(commits) == 1 else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _put_link(real: Path, link: Path) -> None:
    """Make the link in one step, in place of one that leads nowhere."""
    # Workers of several containers may have the same process id.
    beside = link.with_name(f".{link.name}-{uuid.uuid4().hex}")
    beside.symlink_to(real)
    beside.replace(link)
