"""Datasets from elsewhere: fetched into a staging folder, checked, and made visible in one step.

```
training_data/.incoming/fetch_<process_id>/   what has arrived so far, for this process alone
training_data/.fetched/                       the ledger: which dataset holds what of which URL or object
training_data/<source>_<12 hex>/              the dataset; the same request has the same name
```
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets import check, intake
from lorapod.datasets.check import DatasetSummary
from lorapod.datasets.converting import is_converted
from lorapod.datasets.dataset_fetch import DatasetFetch
from lorapod.datasets.destination import Destination
from lorapod.datasets.download import Download, DownloadedFile
from lorapod.datasets.intake_warnings import intake_warnings
from lorapod.datasets.ledger import FetchLedger, KeptFile, LedgerEntry, digest_of
from lorapod.datasets.library import INCOMING
from lorapod.datasets.naming import Folders, NamePlan
from lorapod.datasets.publish import FindReader, holds, replace, write_captions
from lorapod.datasets.sources.objects import Location, ObjectSource, location_name, location_of
from lorapod.datasets.sources.port import Source
from lorapod.datasets.sources.running import Stopped, run_until
from lorapod.datasets.staging import StagingArea
from lorapod.errors import InsufficientStorage, WorkerError
from lorapod.safety.unpacking import ArchiveLimits
from lorapod.settings import Settings
from lorapod.storage.port import OpenStore
from lorapod.storage.s3_access import JobS3
from lorapod.wire.dataset import DatasetRef, FetchProgress
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

FETCHED = ".fetched"


class DatasetFetcher:
    """Fetches remote datasets into the workspace.

    Every method blocks: call it from a thread. Several workers may use one workspace at a time.
    """

    def __init__(
        self,
        *,
        workspace: Workspace,
        settings: Settings,
        open_store: OpenStore[Location],
        find_reader: FindReader = lambda *_: None,
    ) -> None:
        """Put datasets under `workspace.training_data`; what `find_reader` finds a reader of is not replaced."""
        self._workspace = workspace
        self._settings = settings
        self._open_store = open_store
        self._find_reader = find_reader
        self._ledger = FetchLedger(workspace.training_data / FETCHED, workspace.training_data)

    def folder_of(self, ref: DatasetRef, *, job_s3: JobS3 | None = None) -> Path:
        """Return where the dataset will be: the same for the same request, so that it is not kept twice."""
        request = ref.model_dump(mode="json", exclude_none=True)
        if not ref.fix:
            # As requests of earlier versions are written, whose datasets are found again.
            del request["fix"]
        if ref.s3 is not None and job_s3 is not None:
            request["job_s3"] = {"server": job_s3.server, "bucket": job_s3.bucket}
        text = json.dumps(request, sort_keys=True)
        name = f"{ref.sources[0]}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        return self._workspace.training_data / name

    def precheck(self, ref: DatasetRef, *, job_s3: JobS3 | None = None) -> None:
        """Refuse what can be refused without a request to another server.

        Raises:
            WorkerError: a URL that this worker may not fetch, or a store that this endpoint has no credentials for.
        """
        if ref.urls is not None:
            from lorapod.safety.urls import check_url

            for url in ref.urls:
                check_url(url, allow_private=self._settings.allow_private_urls)
        else:
            with self._open_store(location_of(ref), job_s3=job_s3):
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
        entry: DatasetEntry | None = None,
    ) -> DatasetSummary:
        """Fetch the dataset, but not the files that are here already and unchanged; return what it holds.

        If another live training reads an earlier version of it, the new one gets its own folder.

        Args:
            ref: a remote dataset.
            process_id: the process that needs it; a later call for the same one resumes the fetch.
            stopped: called several times a second; True ends the fetch.
            tell: called about once a second, in the calling thread.
            folder: where it has to lie, for this process alone; if it exists, it is complete and stays as it is.
            job_s3: the job's own server, if `ref` is in S3.
            entry: how the training reads it, if a config is known; its folder does not count.

        Raises:
            Stopped: `stopped` became true.
            WorkerError: it could not be fetched, or cannot be trained on.
            OSError: the disk failed.
        """
        if folder is not None and folder.is_dir():
            return check.inspect(dataclasses.replace(entry or DatasetEntry(folder=folder), folder=folder))
        fetch = DatasetFetch(
            ref=ref,
            process_id=process_id,
            job_s3=job_s3,
            stopped=stopped,
            staging=self._workspace.training_data / INCOMING / f"fetch_{process_id}",
            target=folder or self.folder_of(ref, job_s3=job_s3),
            shared=folder is None,
            entry=entry,
        )

        def report(progress: FetchProgress) -> None:
            fetch.staging.touch()  # a sign of use: old staging folders are removed
            tell(progress)

        with self._staged(fetch):
            downloaded, left_out = run_until(stopped, self._download(fetch, report))
            return self._publish(fetch, downloaded, left_out)

    @contextmanager
    def _staged(self, fetch: DatasetFetch) -> Iterator[None]:
        """Make the folder of a fetch, and remove it unless another try needs what is in it.

        Raises:
            InsufficientStorage: the disk ran full.
        """
        fetch.staging.mkdir(parents=True, exist_ok=True)
        try:
            yield
        except WorkerError as error:
            # Keep what another try would need, unless the disk is full.
            if not error.retryable or isinstance(error, InsufficientStorage):
                shutil.rmtree(fetch.staging, ignore_errors=True)
            raise
        except OSError as error:
            if not intake.is_full(error):
                raise
            shutil.rmtree(fetch.staging, ignore_errors=True)
            raise intake.disk_full("the dataset") from error
        shutil.rmtree(fetch.staging, ignore_errors=True)

    async def _download(
        self, fetch: DatasetFetch, tell: Callable[[FetchProgress], None]
    ) -> tuple[Sequence[DownloadedFile], Sequence[str]]:
        """Return what was downloaded, and the paths of what no dataset may hold."""
        async with self._source(fetch.ref, fetch.job_s3) as source:
            download = Download(
                source=source,
                folder=fetch.staging / "got",
                ledger=self._ledger,
                trigger_word=fetch.ref.trigger_word,
                fix=fetch.ref.fix,
                keep_free_bytes=self._settings.disk_min_free_bytes,
            )
            return await download.run(tell), source.left_out

    @asynccontextmanager
    async def _source(self, ref: DatasetRef, job_s3: JobS3 | None) -> AsyncIterator[Source]:
        if ref.urls is None:
            location = location_of(ref)
            with self._open_store(location, job_s3=job_s3) as store:
                yield ObjectSource(store, name=location_name(location, job_s3))
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

    def _publish(
        self, fetch: DatasetFetch, downloaded: Sequence[DownloadedFile], left_out: Sequence[str]
    ) -> DatasetSummary:
        """Check what was downloaded, and make it the dataset."""
        area = self._staging_area(fetch)
        plan = NamePlan.of(
            [item.source_path for item in downloaded],
            folders=Folders.MATTER if fetch.ref.urls is None else Folders.TELL_APART,
        )
        area.notes.add_plan(plan)
        area.expect(plan.names)
        files_of: list[tuple[DownloadedFile, list[str]]] = []
        # What is in archives makes room for what is not, and what is converted for what is not.
        for item, name in sorted(
            zip(downloaded, plan.names, strict=True),
            key=lambda pair: (pair[0].is_archive, is_converted(pair[1])),
        ):
            if fetch.stopped():
                raise Stopped
            before = len(area.staged)
            item.hand_over(area, name)
            files_of.append((item, list(area.staged)[before:]))
        area.refusals.refuse_damaged(anything_left=bool(area.staged))
        folder, ref = fetch.target, fetch.ref
        write_captions(area, ref.trigger_word, beside=None)
        summary = check.inspect(fetch.read_in(area.ready))
        summary.refuse_errors(folder.name)
        if not fetch.shared:
            replace(area, folder)
        elif not (all(item.is_of(folder) for item in downloaded) and holds(folder, area)):
            if folder.is_dir() and self._find_reader(folder, fetch.process_id) is not None:
                folder = folder.with_name(f"{folder.name}_{fetch.process_id}")
            replace(area, folder)
        if fetch.shared:
            self._note(ref, folder, files_of, area)
        logger.info("fetched dataset", extra={"training_name": folder.name, "count": len(area.staged)})
        return dataclasses.replace(
            summary,
            path=folder,
            warnings=[*intake_warnings(area, left_out), *summary.warnings],
            fixed=area.fixed,
        )

    def _staging_area(self, fetch: DatasetFetch) -> StagingArea:
        folder = fetch.staging / "checked"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        free = shutil.disk_usage(self._workspace.root).free - self._settings.disk_min_free_bytes
        return StagingArea(
            Destination(
                staging=folder,
                dataset=None,
                parts=folder,
                shown=self._workspace.relative(fetch.target),
                extract=True,
                fix=fetch.ref.fix,
                limits=ArchiveLimits(free_bytes=max(0, free)),
            )
        )

    def _note(
        self,
        ref: DatasetRef,
        folder: Path,
        files_of: Sequence[tuple[DownloadedFile, list[str]]],
        area: StagingArea,
    ) -> None:
        """Write to the ledger which files of the dataset came of which remote file."""
        for item, names in files_of:
            files = [KeptFile.of(folder, area.staged[name]) for name in names]
            self._ledger.note(
                LedgerEntry(
                    key_sha256=digest_of(item.file.key),
                    etag=item.fetched.version.etag,
                    last_modified=item.fetched.version.last_modified,
                    dataset=folder.name,
                    trigger_word=ref.trigger_word,
                    fix=ref.fix,
                    files=files,
                    source_name=item.fetched.name,
                )
            )
