"""Datasets from elsewhere: fetched into a staging folder, checked, and made visible in one step.

```
training_data/.incoming/fetch_<process_id>/   what has come so far, for this process alone
training_data/.fetched/                       the ledger: what of which address lies in which dataset
training_data/<source>_<12 hex>/              the dataset; the same request has the same name
```
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from lorapod.datasets import check, intake
from lorapod.datasets.check import DatasetSummary
from lorapod.datasets.download import Download, DownloadedFile
from lorapod.datasets.ledger import Entry, FetchLedger, KeptFile, digest_of
from lorapod.datasets.library import INCOMING
from lorapod.datasets.names import plain_names
from lorapod.datasets.publish import replace
from lorapod.datasets.sources.objects import ObjectSource
from lorapod.datasets.sources.port import Source
from lorapod.datasets.sources.running import Stopped, run_until
from lorapod.datasets.staging import Destination, StagingArea
from lorapod.errors import InsufficientStorage, InvalidInput, WorkerError
from lorapod.kinds import CAPTION_SUFFIXES, is_hidden, suffix_of
from lorapod.safety.archives import ArchiveLimits
from lorapod.settings import Settings
from lorapod.storage.port import OpenStore
from lorapod.storage.s3_access import JobS3
from lorapod.wire.dataset import (
    DatasetRef,
    FetchProgress,
    HuggingFaceDataset,
    RejectedFile,
    S3Prefix,
    SupabaseFolder,
)
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

FETCHED = ".fetched"

Location = S3Prefix | SupabaseFolder | HuggingFaceDataset


class DatasetFetcher:
    """Every method blocks: call it from a thread. Several workers may use one workspace at a time."""

    def __init__(self, *, workspace: Workspace, settings: Settings, open_store: OpenStore[Location]) -> None:
        """Put datasets under `workspace.training_data`."""
        self._workspace = workspace
        self._settings = settings
        self._open_store = open_store
        self._ledger = FetchLedger(workspace.training_data / FETCHED, workspace.training_data)

    def folder_of(self, ref: DatasetRef, *, job_s3: JobS3 | None = None) -> Path:
        """Where the dataset will be: the same for the same request, so that it is not kept twice."""
        asked = ref.model_dump(mode="json", exclude_none=True)
        if ref.s3 is not None and job_s3 is not None:
            asked["job_s3"] = {"server": job_s3.server, "bucket": job_s3.bucket}
        text = json.dumps(asked, sort_keys=True)
        name = f"{ref.sources[0]}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        return self._workspace.training_data / name

    def precheck(self, ref: DatasetRef, *, job_s3: JobS3 | None = None) -> None:
        """Refuse what can be refused without asking anybody.

        Raises:
            WorkerError: an address that may not be asked, or a store that this endpoint has no credentials for.
        """
        if ref.urls is not None:
            from lorapod.safety.urls import check_url

            for address in ref.urls:
                check_url(address, allow_private=self._settings.allow_private_urls)
        else:
            with self._open_store(_location(ref), job_s3=job_s3):
                pass

    def fetch(
        self,
        ref: DatasetRef,
        process_id: str,
        *,
        stopped: Callable[[], bool],
        tell: Callable[[FetchProgress], None],
        folder: Path | None = None,
        job_s3: JobS3 | None = None,
    ) -> DatasetSummary:
        """Have the dataset there and whole; what is there already and unchanged is not fetched again.

        Args:
            ref: a remote dataset.
            process_id: for whom; a later call for the same goes on with what has come.
            stopped: asked several times a second; True ends the fetch.
            tell: called about once a second, in the calling thread.
            folder: where it has to lie, for this process alone; what is there already is whole, and stays as it is.

            job_s3: the job's own server, where `ref` is in S3.

        Raises:
            Stopped: `stopped` became true.
            WorkerError: it could not be fetched, or cannot be trained on.
            OSError: the disk failed.
        """
        if folder is not None and folder.is_dir():
            return check.inspect(folder)
        staging = self._workspace.training_data / INCOMING / f"fetch_{process_id}"
        staging.mkdir(parents=True, exist_ok=True)

        def told(progress: FetchProgress) -> None:
            staging.touch()  # as a sign to whoever sweeps away what nobody goes on with
            tell(progress)

        try:
            landed = run_until(stopped, self._download(ref, job_s3, staging, told))
            target = folder or self.folder_of(ref, job_s3=job_s3)
            summary = self._land(ref, landed, staging, stopped, target, remembered=folder is None)
        except WorkerError as error:
            # What another try would need stays; a full disk needs the room.
            if not error.retryable or isinstance(error, InsufficientStorage):
                shutil.rmtree(staging, ignore_errors=True)
            raise
        except OSError as error:
            if not intake.is_full(error):
                raise
            shutil.rmtree(staging, ignore_errors=True)
            raise intake.disk_full("the dataset") from error
        shutil.rmtree(staging, ignore_errors=True)
        return summary

    async def _download(
        self, ref: DatasetRef, job_s3: JobS3 | None, staging: Path, tell: Callable[[FetchProgress], None]
    ) -> Sequence[DownloadedFile]:
        async with self._source(ref, job_s3) as source:
            download = Download(
                source=source,
                folder=staging / "got",
                ledger=self._ledger,
                trigger_word=ref.trigger_word,
                keep_free_bytes=self._settings.disk_min_free_bytes,
            )
            return await download.run(tell)

    @asynccontextmanager
    async def _source(self, ref: DatasetRef, job_s3: JobS3 | None) -> AsyncIterator[Source]:
        if ref.urls is None:
            location = _location(ref)
            with self._open_store(location, job_s3=job_s3) as store:
                yield ObjectSource(store, name=_shown(location, job_s3))
            return
        # Imported here: a worker whose callers upload needs no HTTP client.
        from lorapod.datasets.sources.urls import UrlSource
        from lorapod.safety.fetch import Fetcher, FetchLimits

        private = self._settings.allow_private_urls
        limits = FetchLimits(
            max_bytes=self._settings.max_fetch_bytes, keep_free_bytes=self._settings.disk_min_free_bytes
        )
        async with Fetcher(allow_private=private, limits=limits) as fetcher:
            yield UrlSource(ref.urls, fetcher, allow_private=private)

    def _land(
        self,
        ref: DatasetRef,
        landed: Sequence[DownloadedFile],
        staging: Path,
        stopped: Callable[[], bool],
        folder: Path,
        *,
        remembered: bool,
    ) -> DatasetSummary:
        """Check what has come, and make it the dataset; `remembered`: later fetches may take files from it."""
        room = staging / "checked"
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()
        free = shutil.disk_usage(self._workspace.root).free - self._settings.disk_min_free_bytes
        area = StagingArea(
            Destination(
                staging=room,
                parts=room,
                shown=self._workspace.relative(folder),
                extract=True,
                limits=ArchiveLimits(free_bytes=max(0, free)),
            )
        )
        came_of: list[tuple[DownloadedFile, list[str]]] = []
        for item, plain in zip(landed, plain_names([item.file.path for item in landed]), strict=True):
            if stopped():
                raise Stopped
            before = len(area.staged)
            item.hand_over(area, plain, room)
            came_of.append((item, list(area.staged)[before:]))
        _refuse_broken(area)
        summary = check.inspect(area.ready)
        summary.refuse_errors(folder.name)
        if not remembered or not _same_as_before(area, landed, folder):
            replace(area, folder, ref.trigger_word)
        if remembered:
            self._note(ref, folder, came_of, area)
        logger.info("fetched dataset", extra={"training_name": folder.name, "count": len(area.staged)})
        left_out = [f"{file.filename} was left out: {file.error}" for file in area.rejected]
        if ref.trigger_word is not None:
            summary = check.inspect(folder)
        return dataclasses.replace(summary, path=folder, warnings=[*left_out[:20], *summary.warnings])

    def _note(
        self,
        ref: DatasetRef,
        folder: Path,
        came_of: Sequence[tuple[DownloadedFile, list[str]]],
        area: StagingArea,
    ) -> None:
        for item, names in came_of:
            files = []
            for name in names:
                found = (folder / name).lstat()
                files.append(
                    KeptFile(
                        name=name,
                        size_bytes=found.st_size,
                        mtime_ns=found.st_mtime_ns,
                        sha256=area.staged[name].sha256,
                    )
                )
            self._ledger.note(
                Entry(
                    key_sha256=digest_of(item.file.key),
                    etag=item.arrived.version.etag,
                    last_modified=item.arrived.version.last_modified,
                    dataset=folder.name,
                    trigger_word=ref.trigger_word,
                    files=files,
                )
            )


def _location(ref: DatasetRef) -> Location:
    location = ref.s3 or ref.supabase or ref.huggingface
    assert location is not None, "what is not fetched from addresses comes from a store"
    return location


def _shown(location: Location, job_s3: JobS3 | None) -> str:
    match location:
        case S3Prefix():
            bucket = location.bucket or (job_s3.bucket if job_s3 is not None else "(default)")
            server = f" of {job_s3.server}" if job_s3 is not None else ""
            return f"s3://{bucket}/{location.prefix or ''}".rstrip("/") + server
        case SupabaseFolder():
            return f"supabase://{location.bucket_name}/{location.folder_path}".rstrip("/")
        case HuggingFaceDataset():
            return f"hf://datasets/{location.repo_id}@{location.revision or 'main'}"


def _refuse_broken(area: StagingArea) -> None:
    """A file of a kind that trainers read, but damaged, is not left out in silence."""
    full = next((error for error in area.errors if isinstance(error, InsufficientStorage)), None)
    if full is not None:
        raise full
    broken = [file for file in area.rejected if _broken(file)]
    if not broken and area.staged:
        return
    told = broken or area.rejected
    if not told:
        raise InvalidInput("There are no pictures in what was fetched.")
    kind = type(area.errors[area.rejected.index(told[0])])
    more = f" And {len(told) - 1} files more." if len(told) > 1 else ""
    raise kind(
        f"The dataset cannot be trained on: {told[0].error}{more}",
        hint="Repair or remove these files where they are, then try again.",
        details=[{"field": file.filename, "error": file.error} for file in told[:100]],
    )


def _broken(file: RejectedFile) -> bool:
    return file.code != "conflict" and suffix_of(file.filename) in intake.TAKEN_SUFFIXES


def _same_as_before(area: StagingArea, landed: Sequence[DownloadedFile], folder: Path) -> bool:
    """Whether the dataset is there already as it would become: then its caches stay too."""
    if any(item.entry is None or item.entry.dataset != folder.name for item in landed):
        return False
    there = {path.name for path in folder.iterdir() if not is_hidden(path.name)}
    extra = there - area.staged.keys()
    return not area.staged.keys() - there and all(suffix_of(name) in CAPTION_SUFFIXES for name in extra)
