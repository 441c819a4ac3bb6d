"""Download the files of a source into a staging folder, several at a time, except those that are here already."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from lorapod.atomic import replace_file
from lorapod.datasets.intake import OTHER_ARCHIVES, check_name, check_size, fresh_path
from lorapod.datasets.ledger import FetchLedger, LedgerEntry
from lorapod.datasets.looks.foreign_formats import foreign_format
from lorapod.datasets.sources.port import FetchedFile, RemoteFile, Source
from lorapod.datasets.staging import StagingArea
from lorapod.errors import InsufficientStorage, InvalidInput, TooLarge, WorkerError
from lorapod.kinds import VIDEO_SUFFIXES, suffix_of
from lorapod.safety import archives, images, parquet
from lorapod.safety.media import media_by_content
from lorapod.safety.parquet import is_parquet
from lorapod.safety.part_file import Version
from lorapod.safety.tars import is_tar
from lorapod.safety.unpacking import ArchiveLimits
from lorapod.wire.dataset import FetchProgress, is_archive_name, is_dataset_name

#: Most files of a dataset.
MAX_FILES = 20_000

#: Files that are downloaded at the same time.
_AT_A_TIME = 8

#: The download ends once so many files have failed; the error lists them.
_FAILURES_MAX = 10

#: Time between two reports of the progress.
_TELL_INTERVAL_S = 1.0


@dataclass(frozen=True, kw_only=True)
class DownloadedFile:
    """A remote file whose content is in the staging folder."""

    file: RemoteFile
    fetched: FetchedFile
    #: The content; for a file that was downloaded before, a folder with the dataset's files of it.
    path: Path
    #: Its entry in the ledger if it was not downloaded again.
    entry: LedgerEntry | None = None

    @property
    def is_archive(self) -> bool:
        """Whether several files of the dataset come of it."""
        if self.entry is None:
            return is_archive_name(self.source_path)
        return any(file.inner is not None for file in self.entry.files) or len(self.entry.files) > 1

    def is_of(self, dataset: Path) -> bool:
        """Return whether it was not downloaded again, because this dataset has what comes of it."""
        return self.entry is not None and self.entry.dataset == dataset.name

    @cached_property
    def source_path(self) -> str:
        """Folders and name in the source; a name that does not say what the file is gets a suffix that does.

        Raises:
            OSError: the file cannot be read.
        """
        folder, _, name = self.file.path.rpartition("/")
        if not is_dataset_name(name) and self.fetched.name:
            name = re.split(r"[/\\]", self.fetched.name)[-1]
        if not is_dataset_name(name) and self.entry is None:
            name += _suffix_by_content(self.path)
        elif not is_dataset_name(name) and self.entry is not None and len(self.entry.files) == 1:
            name += suffix_of(self.entry.files[0].name)
        return f"{folder}/{name or 'file'}"

    def hand_over(self, area: StagingArea, name: str) -> None:
        """Give it to a staging area under a name of the dataset; the content stays, for another try.

        Raises:
            OSError: the file system failed.
        """
        if self.entry is None:
            path = fresh_path(area.folder)
            _link(self.path, path)
            area.take_file(name, path, self.fetched.sha256, origin=self.source_path)
            return
        names: Sequence[str] = [name]
        if self.is_archive:
            names = area.plan_archive(name, [file.inner or file.name for file in self.entry.files])
        for kept, planned in zip(self.entry.files, names, strict=True):
            path = fresh_path(area.folder)
            _link(self.path / kept.name, path)
            area.take_checked(
                planned,
                path,
                kept.sha256,
                origin=kept.inner or self.source_path,
                archive=name if self.is_archive else "",
                fixed=kept.fixed,
            )


@dataclass(kw_only=True)
class Download:
    """One download of all files of a source; used once."""

    source: Source
    #: Where the files are written; a later run resumes from what is there.
    folder: Path
    ledger: FetchLedger
    trigger_word: str | None
    fix: bool
    keep_free_bytes: int
    _done: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    _downloaded: dict[str, DownloadedFile] = field(default_factory=dict)
    _failures: list[tuple[RemoteFile, WorkerError]] = field(default_factory=list)
    _files: Sequence[RemoteFile] = ()

    async def run(self, tell: Callable[[FetchProgress], None]) -> Sequence[DownloadedFile]:
        """Download every file; return them in the source's order.

        Raises:
            WorkerError: some could not be downloaded, each in `details`.
            OSError: the disk failed.
        """
        self._files = await self.source.files()
        if len(self._files) > MAX_FILES:
            raise TooLarge(f"The dataset has {len(self._files)} files; at most {MAX_FILES} are allowed.")
        self._check_sizes()
        self.folder.mkdir(exist_ok=True)
        self._done = {file.key: (0, file.size_bytes) for file in self._files}
        self._check_room()
        gate = asyncio.Semaphore(_AT_A_TIME)
        tasks = [asyncio.create_task(self._bring(file, gate)) for file in self._files]
        try:
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=_TELL_INTERVAL_S, return_when=asyncio.FIRST_EXCEPTION
                )
                for task in done:
                    task.result()
                tell(self._progress())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._failures:
            raise self._failed()
        return [self._downloaded[file.key] for file in self._files]

    def _check_sizes(self) -> None:
        """Refuse the dataset before a file is fetched that is known to be too large, or no archive that is unpacked."""
        for file in self._files:
            name = file.path.rpartition("/")[2]
            try:
                if suffix_of(name) in OTHER_ARCHIVES | {parquet.SUFFIX}:
                    check_name(name)
                check_size(name, file.size_bytes or 0, archive_max_bytes=ArchiveLimits().total_bytes)
            except (InvalidInput, TooLarge) as error:
                self._failures.append((file, error))
        if self._failures:
            raise self._failed()

    def _check_room(self) -> None:
        needed_bytes = sum(file.size_bytes or 0 for file in self._files)
        free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes - needed_bytes < self.keep_free_bytes:
            raise InsufficientStorage(
                f"The dataset has {needed_bytes} bytes; the workspace has {free_bytes} bytes free, "
                f"of which {self.keep_free_bytes} are kept.",
                hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume, then try again.",
            )

    async def _bring(self, file: RemoteFile, gate: asyncio.Semaphore) -> None:
        async with gate:
            if len(self._failures) >= _FAILURES_MAX:
                return
            try:
                self._downloaded[file.key] = downloaded = await self._one(file)
            except InsufficientStorage:
                raise
            except WorkerError as error:
                self._failures.append((file, error))
                return
            size_bytes = self._done[file.key][0]
            if downloaded.entry is not None:
                size_bytes = file.size_bytes or sum(kept.size_bytes for kept in downloaded.entry.files)
            self._done[file.key] = (size_bytes, size_bytes)

    async def _one(self, file: RemoteFile) -> DownloadedFile:
        name = hashlib.sha256(file.key.encode()).hexdigest()[:32]
        target, note = self.folder / name, self.folder / f"{name}.arrived"
        if (arrived := _arrived(target, note)) is not None:
            self._done[file.key] = (target.stat().st_size, None)
            return DownloadedFile(file=file, fetched=arrived, path=target)
        entry, kept = (
            self.ledger.find(file.key, self.trigger_word, fix=self.fix),
            self.folder / f"{name}.kept",
        )
        if entry is not None:
            # Linked before the request: another process may replace the dataset until the source has answered.
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            entry = entry if self.ledger.borrow(entry, kept) else None

        def progress(done_bytes: int, total_bytes: int | None) -> None:
            self._done[file.key] = (done_bytes, total_bytes)

        known = entry.version if entry is not None else None
        new = await self.source.fetch(file, target, known=known, progress=progress)
        if new is None:
            assert entry is not None, "only a known version can be unchanged"
            return DownloadedFile(
                file=file,
                fetched=FetchedFile(sha256="", version=entry.version, name=entry.source_name),
                path=kept,
                entry=entry,
            )
        replace_file(
            note, json.dumps({"sha256": new.sha256, "name": new.name, **asdict(new.version)}).encode()
        )
        return DownloadedFile(file=file, fetched=new, path=target)

    def _progress(self) -> FetchProgress:
        done = list(self._done.values())
        totals = [total for _, total in done if total is not None]
        return FetchProgress(
            files=len(self._downloaded),
            total_files=len(self._files),
            received_bytes=sum(received for received, _ in done),
            total_bytes=sum(totals) if len(totals) == len(done) else None,
        )

    def _failed(self) -> WorkerError:
        first, more = self._failures[0][1], len(self._failures) - 1
        return type(first)(
            first.message + (f" Other files that could not be fetched: {more}." if more else ""),
            hint=first.hint,
            details=[{"field": file.path[-200:], "error": error.message} for file, error in self._failures],
        )


def _arrived(target: Path, note: Path) -> FetchedFile | None:
    """Return what an earlier run noted of a file that it had downloaded."""
    try:
        noted = json.loads(note.read_bytes())
        version = Version(etag=noted["etag"], last_modified=noted["last_modified"])
        fetched = FetchedFile(sha256=noted["sha256"], version=version, name=noted.get("name"))
        return fetched if target.exists() else None
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def _suffix_by_content(path: Path) -> str:
    """Return the suffix that tells what the file is; an empty text if no trainer reads it."""
    if (image := images.suffix_by_content(path)) is not None:
        return image
    if (foreign := foreign_format(path)) is not None:
        return f".{foreign.lower()}"
    if archives.is_archive(path):
        return ".tar" if is_tar(path) else ".parquet" if is_parquet(path) else ".zip"
    media = media_by_content(path)
    return media.suffix if media is not None and media.suffix in VIDEO_SUFFIXES else ""


def _link(source: Path, target: Path) -> None:
    """Link the content to a second name; copy it if the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
