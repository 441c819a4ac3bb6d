"""Files of an object store: an S3 prefix, a Supabase folder, a HuggingFace dataset repository."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

from lorapod.datasets.intake import OTHER_ARCHIVES, PACK_HINT
from lorapod.datasets.sources.port import FetchedFile, Progress, RemoteFile
from lorapod.errors import InvalidInput, NotFound
from lorapod.kinds import suffix_of
from lorapod.safety.parquet import HINT, can_read_parquet
from lorapod.safety.parquet import SUFFIX as PARQUET
from lorapod.safety.part_file import Version
from lorapod.storage.port import ObjectStore, StoredObject
from lorapod.storage.s3_access import JobS3
from lorapod.wire.dataset import DatasetRef, HuggingFaceDataset, S3Prefix, SupabaseFolder, is_dataset_name

Location = S3Prefix | SupabaseFolder | HuggingFaceDataset

#: Most objects of a source: more would fill the memory.
MAX_OBJECTS = 100_000


class _Abandoned(Exception):
    """The transfer was cancelled."""


class ObjectSource:
    """A `lorapod.datasets.sources.port.Source` of the objects in a store's folder."""

    def __init__(self, store: ObjectStore, *, name: str) -> None:
        """Read from `store`; `name` is the folder that was opened, e.g. `s3://bucket/prefix`."""
        self._store = store
        self._name = name
        self._objects: dict[str, StoredObject] = {}
        self._left_out: list[str] = []

    async def files(self) -> Sequence[RemoteFile]:
        """List the objects whose suffixes a dataset may hold; a repository has others too."""
        self._objects = await asyncio.to_thread(self._list)
        return [
            RemoteFile(key=f"{self._name}/{key}", path=key, size_bytes=stored.size_bytes)
            for key, stored in sorted(self._objects.items())
        ]

    @property
    def left_out(self) -> Sequence[str]:
        """Return the keys of objects that no dataset may hold."""
        return self._left_out

    async def fetch(
        self, file: RemoteFile, target: Path, *, known: Version | None, progress: Progress
    ) -> FetchedFile | None:
        """Fetch one object, unless the list shows that it is the `known` version."""
        listed = self._objects[file.path]
        version = _version(listed)
        if known and known == version:
            return None
        abandoned = threading.Event()

        def tell(done_bytes: int) -> None:
            if abandoned.is_set():
                raise _Abandoned
            progress(done_bytes, listed.size_bytes)

        def get() -> str:
            self._store.get_file(file.path, target, listed=listed, progress=tell)
            with target.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()

        try:
            sha256 = await asyncio.to_thread(get)
        except asyncio.CancelledError:
            abandoned.set()
            raise
        return FetchedFile(sha256=sha256, version=version)

    def _list(self) -> dict[str, StoredObject]:
        found: dict[str, StoredObject] = {}
        others: list[str] = []
        parquet = can_read_parquet()
        for stored in self._store.list_objects():
            name = stored.key.rpartition("/")[2]
            if is_dataset_name(name) and (parquet or suffix_of(name) != PARQUET):
                found[stored.key] = stored
            elif name:
                others.append(stored.key)
            if len(found) + len(others) > MAX_OBJECTS:
                raise InvalidInput(
                    f"{self._name} has more than {MAX_OBJECTS} objects.", hint="Name a folder in it."
                )
        if not found and not others:
            raise NotFound(f"There is nothing at {self._name}.")
        if not found:
            kinds = ", ".join(sorted({suffix_of(key.rpartition("/")[2]) or key[:40] for key in others})[:5])
            raise InvalidInput(
                f"{self._name} has no images, captions or zips, only {kinds}.",
                hint=_hint({suffix_of(key) for key in others}),
            )
        self._left_out = [key for key in others if not key.rpartition("/")[2].startswith(".")]
        return found


def _hint(suffixes: set[str]) -> str:
    """Return what to do about a source that has files of these kinds only."""
    if PARQUET in suffixes:
        return HINT
    return PACK_HINT if suffixes & OTHER_ARCHIVES else "Put JPEG, PNG or WebP files there."


def _version(stored: StoredObject) -> Version:
    modified = stored.modified_at.isoformat() if stored.modified_at else None
    return Version(etag=stored.etag or stored.sha256, last_modified=modified)


def location_of(ref: DatasetRef) -> Location:
    """Return the object store's part of a remote dataset that is not fetched from URLs."""
    location = ref.s3 or ref.supabase or ref.huggingface
    assert location is not None, "a remote dataset has URLs or a location"
    return location


def location_name(location: Location, job_s3: JobS3 | None) -> str:
    """Return the location as one text, e.g. `s3://bucket/prefix`; the ledger's keys begin with it."""
    match location:
        case S3Prefix():
            bucket = location.bucket or (job_s3.bucket if job_s3 is not None else "(default)")
            server = f" of {job_s3.server}" if job_s3 is not None else ""
            return f"s3://{bucket}/{location.prefix or ''}".rstrip("/") + server
        case SupabaseFolder():
            return f"supabase://{location.bucket_name}/{location.folder_path}".rstrip("/")
        case HuggingFaceDataset():
            return f"hf://datasets/{location.repo_id}@{location.revision or 'main'}"
