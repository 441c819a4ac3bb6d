"""What is known of a dataset's files from earlier looks, and their thumbnails, kept by content.

Where they are: `lorapod.dataset_reader.kept_thumbnails`.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from lorapod.atomic import replace_file
from lorapod.dataset_reader.item import FoundFile
from lorapod.dataset_reader.kept_thumbnails import INDEX, thumbnail_name
from lorapod.datasets.gallery.traits import ImageTraits
from lorapod.datasets.looks.video_look import VideoLook
from lorapod.folders import entries_of

_ENDS_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class KnownFile:
    """One file as it was when it was looked into."""

    size_bytes: int
    mtime_ns: int
    #: Digest of its size, beginning and end: of files with other content, it differs.
    key: str
    traits: ImageTraits | None = None
    video: VideoLook | None = None

    def is_still(self, file: FoundFile) -> bool:
        """Return whether the file has not changed since."""
        return (self.size_bytes, self.mtime_ns) == (file.size_bytes, file.mtime_ns)


_ADAPTER = TypeAdapter(dict[str, KnownFile])


class GalleryIndex:
    """The index of one dataset, safe for threads; of several workers that replace it, the last one wins."""

    def __init__(self, folder: Path) -> None:
        """Read it from `folder`; begin with an empty one if there is none, or it cannot be read."""
        self._folder = folder
        self._known: dict[str, KnownFile] = {}
        self._changed = False
        self._lock = threading.Lock()
        with suppress(OSError, ValueError):
            self._known = _ADAPTER.validate_json((folder / INDEX).read_bytes())
        self._by_key = {known.key: known for known in self._known.values()}

    def of(self, file: FoundFile) -> KnownFile:
        """Return what is known of a file; of one that has changed, its key alone.

        Raises:
            OSError: it cannot be read.
        """
        known = self._known.get(file.name)
        if known is not None and known.is_still(file):
            return known
        key = content_key(file)
        with self._lock:
            # A file that was renamed, or touched, is known by its content.
            alike = self._by_key.get(key) or KnownFile(size_bytes=0, mtime_ns=0, key=key)
            return self._keep(file, replace(alike, size_bytes=file.size_bytes, mtime_ns=file.mtime_ns))

    def learn(
        self,
        file: FoundFile,
        *,
        traits: ImageTraits | None = None,
        video: VideoLook | None = None,
    ) -> None:
        """Keep what was found out about a file; what is None stays as it was.

        Raises:
            OSError: it cannot be read.
        """
        known = self.of(file)
        with self._lock:
            self._keep(
                file,
                replace(known, traits=traits or known.traits, video=video or known.video),
            )

    def _keep(self, file: FoundFile, known: KnownFile) -> KnownFile:
        self._known[file.name] = self._by_key[known.key] = known
        self._changed = True
        return known

    @property
    def traits(self) -> Mapping[str, ImageTraits]:
        """The traits of all images that were ever decoded and have not changed, by name."""
        return {name: known.traits for name, known in self._known.items() if known.traits is not None}

    def thumbnail(self, known: KnownFile, px: int) -> bytes | None:
        """Return a thumbnail that is kept, or None."""
        with suppress(OSError):
            return self._path(known.key, px).read_bytes()
        return None

    def keep_thumbnail(self, known: KnownFile, px: int, data: bytes) -> None:
        """Write a thumbnail; a disk that refuses it costs time at the next look, nothing else."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._path(known.key, px), data)

    def save(self, files: Iterable[FoundFile]) -> None:
        """Write the index if it has changed; forget all but `files`, with their thumbnails."""
        names = {file.name for file in files}
        if not self._changed and names >= self._known.keys():
            return
        self._known = {name: known for name, known in self._known.items() if name in names}
        keys = {known.key for known in self._known.values()}
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / INDEX, _ADAPTER.dump_json(self._known))
            for entry in entries_of(self._folder):
                if entry.name.endswith(".webp") and entry.name.partition("_")[0] not in keys:
                    Path(entry.path).unlink(missing_ok=True)
        self._changed = False

    def _path(self, key: str, px: int) -> Path:
        return self._folder / thumbnail_name(key, px)


def content_key(file: FoundFile) -> str:
    """Return a digest of a file's size, its first and its last 64 KiB.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.blake2b(str(file.size_bytes).encode(), digest_size=16)
    with file.path.open("rb") as opened:
        digest.update(opened.read(_ENDS_BYTES))
        if file.size_bytes > 2 * _ENDS_BYTES:
            opened.seek(-_ENDS_BYTES, os.SEEK_END)
        digest.update(opened.read(_ENDS_BYTES))
    return digest.hexdigest()
