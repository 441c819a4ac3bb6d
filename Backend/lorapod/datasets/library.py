"""The datasets of a workspace: files are received whole or in parts, checked, and made visible in one step."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.datasets import check
from lorapod.datasets.arrived import refusal_of, take_arrived
from lorapod.datasets.base64_content import decoded_size_bytes
from lorapod.datasets.check import DatasetSummary, no_items
from lorapod.datasets.destination import Destination
from lorapod.datasets.publish import FindReader, add, refuse_if_read, replace, write_captions
from lorapod.datasets.sets import inspect_all
from lorapod.datasets.staging import StagingArea
from lorapod.errors import Conflict, InsufficientStorage, InvalidInput, NotFound, WorkerError
from lorapod.kinds import AUDIO_SUFFIXES, suffix_of
from lorapod.safety.unpacking import ArchiveLimits
from lorapod.settings import Settings
from lorapod.volume.arriving import ArrivingUpload
from lorapod.wire.dataset import (
    DatasetRef,
    FixedFile,
    IncomingFile,
    RejectedFile,
    StoredFile,
    is_archive_name,
)
from lorapod.workspace import Workspace, safe_name

logger = logging.getLogger(__name__)

#: Hidden folder beside the datasets with the uploads that are not complete.
INCOMING = ".incoming"

#: An upload or a fetch that has not grown for so long, in seconds, is removed.
ABANDONED_S = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The result of one upload."""

    training_name: str
    summary: DatasetSummary
    files: Sequence[StoredFile]
    rejected: Sequence[RejectedFile]
    #: Name as it was sent or in its archive, name in the dataset.
    renamed: Mapping[str, str]
    #: What happened to the files, a sentence each.
    warnings: Sequence[str]
    fixed: Sequence[FixedFile] = ()


class DatasetLibrary:
    """Receives and finds datasets.

    Every method blocks: call it from a thread. Several workers may use one workspace at a time.
    """

    def __init__(
        self, *, workspace: Workspace, settings: Settings, find_reader: FindReader = lambda *_: None
    ) -> None:
        """Keep datasets under `workspace.training_data`; what `find_reader` finds a reader of is not replaced."""
        self._workspace = workspace
        self._settings = settings
        self._find_reader = find_reader
        self._incoming = workspace.training_data / INCOMING
        # A decoded image may take hundreds of megabytes: one upload is checked at a time.
        self._checking = threading.Lock()
        # So that a dataset which is replaced while files are added has all of them or none.
        self._publishing = threading.Lock()

    def receive(
        self,
        files: Sequence[IncomingFile],
        *,
        training_name: str | None = None,
        trigger_word: str | None = None,
        append: bool = True,
        extract: bool = True,
        fix: bool = False,
    ) -> Receipt:
        """Take files into a dataset: keep the good ones, list the bad ones in `rejected`.

        Args:
            files: whole files, or parts of larger ones.
            training_name: the dataset; None: a new one.
            trigger_word: added to captions without it, and written as the caption of images without one.
            append: add to the dataset, replacing files of the same name; if False, the upload becomes the whole dataset.
            extract: unpack zip archives.
            fix: convert images that trainers see otherwise than a person does.

        Raises:
            Conflict: a training reads the dataset that would be replaced.
            WorkerError: no file could be taken; the dataset is as it was.
        """
        name = fresh_name() if training_name is None else safe_name(training_name, field="training_name")
        if not append and any(file.is_part for file in files):
            raise InvalidInput(
                "append: only whole files can replace a dataset, not parts.",
                hint="Replace it with the whole files first, then add the parts.",
            )
        return self._take_in(
            name,
            lambda area: area.take_all(files),
            needed_bytes=lambda destination: sum(_needed_bytes(destination, file) for file in files),
            trigger_word=trigger_word,
            append=append,
            extract=extract,
            fix=fix,
        )

    def receive_arrived(self, upload: ArrivingUpload, folder: Path) -> Receipt:
        """Add an upload that has arrived over S3 to its dataset; it stays in `folder`, where it lies, as it is.

        Raises:
            Conflict: a training reads what it would replace.
            WorkerError: no file could be taken; the dataset is as it was.
        """
        return self._take_in(
            safe_name(upload.training_name, field="training_name"),
            lambda area: take_arrived(upload, folder, area),
            # What is neither linked nor unpacked is small.
            needed_bytes=lambda _: sum(
                file.size_bytes for file in upload.files if is_archive_name(file.filename)
            ),
            trigger_word=upload.trigger_word,
            fix=upload.fix,
        )

    def _take_in(
        self,
        name: str,
        take: Callable[[StagingArea], None],
        *,
        needed_bytes: Callable[[Destination], int],
        trigger_word: str | None,
        append: bool = True,
        extract: bool = True,
        fix: bool = False,
    ) -> Receipt:
        """Have `take` fill a staging area, and publish what is good of it."""
        folder = self._folder(name)
        if not append:
            refuse_if_read(folder, self._find_reader)
        destination = Destination(
            staging=self._incoming / f"upload_{secrets.token_hex(8)}",
            dataset=folder if append else None,
            parts=self._incoming / "parts" / name,
            shown=self._workspace.relative(folder),
            extract=extract,
            fix=fix,
            limits=self._archive_limits(),
        )
        self._check_disk(needed_bytes(destination))
        with _made(destination.staging):
            self._sweep(now_s=destination.staging.stat().st_mtime)
            area = StagingArea(destination)
            with self._checking:
                take(area)
            if not area.useful:
                raise area.refusals.of_everything()
            with self._publishing:
                if append:
                    add(area, folder, trigger_word, self._find_reader)
                else:
                    refuse_if_read(folder, self._find_reader)
                    write_captions(area, trigger_word, beside=None)
                    replace(area, folder)
                    shutil.rmtree(self._incoming / "parts" / name, ignore_errors=True)
                area.note_completed()
        logger.info("received files", extra={"training_name": name, "count": len(area.stored)})
        summary = check.inspect(DatasetEntry(folder=folder))
        return Receipt(
            training_name=name,
            summary=summary,
            files=area.stored,
            rejected=area.refusals.files,
            renamed=area.renamed,
            fixed=area.fixed,
            warnings=area.notes.sentences,
        )

    def find(self, source: DatasetRef) -> Path:
        """Return the folder of the workspace that a training's `dataset` names.

        Raises:
            NotFound: there is no such dataset.
            UnsafePath: the path leads outside the workspace.
            InvalidInput: it has nothing to train on.
        """
        if source.training_name is not None:
            field = "dataset.training_name"
            folder = self._folder(safe_name(source.training_name, field=field))
            shown = source.training_name
        else:
            assert source.path is not None, "a remote dataset has to be fetched"
            field = "dataset.path"
            folder = self._workspace.safe_path(source.path)
            shown = source.path
        if not folder.is_dir():
            if (why := refusal_of(self._workspace, folder.name)) is not None:
                raise InvalidInput(
                    f"The upload of the dataset {shown[:80]!r} over S3 was refused: {why}",
                    hint="Correct the files, and upload them again.",
                )
            raise NotFound(
                f"There is no dataset {shown[:80]!r}.",
                hint="Upload it with `upload_training_data`; `datasets` lists those that are there.",
                details=[{"field": field, "error": "is not there"}],
            )
        reading = DatasetReader(names_only=True).read(DatasetEntry(folder=folder))
        if not reading.items and not any(suffix_of(file.name) in AUDIO_SUFFIXES for file in reading.left_out):
            raise no_items(shown, reading.left_out)
        return folder

    def look(self, entries: Sequence[DatasetEntry]) -> DatasetSummary:
        """Look into every dataset of a config.

        Raises:
            InvalidInput: one has nothing to train on, or files that no trainer can read, each in `details`.
        """
        summary = inspect_all(entries, self._workspace)
        summary.refuse_errors(self._workspace.relative(summary.path))
        return summary

    def _folder(self, name: str) -> Path:
        folder = self._workspace.safe_path(f"{self._workspace.training_data.name}/{name}")
        if folder.exists() and not folder.is_dir():
            raise Conflict(f"training_name: {name!r} is a file, not a dataset.")
        return folder

    def _archive_limits(self) -> ArchiveLimits:
        free = shutil.disk_usage(self._workspace.root).free - self._settings.disk_min_free_bytes
        return ArchiveLimits(free_bytes=max(0, free))

    def _check_disk(self, needed: int) -> None:
        free = shutil.disk_usage(self._workspace.root).free
        if free - needed < self._settings.disk_min_free_bytes:
            raise InsufficientStorage(
                f"The upload needs {needed} bytes; the workspace has {free} bytes free, "
                f"of which {self._settings.disk_min_free_bytes} are kept.",
                hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume, then try again.",
            )

    def _sweep(self, *, now_s: float) -> None:
        """Remove what dead workers and callers that went away have left.

        This is an age, not a lease: an upload that broke off is kept for its caller though no worker holds it. The age is
        that of the volume's own clock, which has just dated a new folder `now_s`: a worker whose clock is wrong removes
        nothing.
        """
        oldest_s = now_s - ABANDONED_S
        for path in (
            *self._incoming.glob("upload_*"),
            *self._incoming.glob("fetch_*"),
            *self._incoming.glob("parts/*/*"),
        ):
            try:
                if path.stat().st_mtime < oldest_s:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            except FileNotFoundError:
                continue  # another worker sweeps too


@contextmanager
def _made(staging: Path) -> Iterator[None]:
    """Make a staging folder, and remove it at the end of the block."""
    staging.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def fresh_name() -> str:
    """Return a training name that is not used."""
    return f"dataset_{secrets.token_hex(6)}"


def _needed_bytes(destination: Destination, file: IncomingFile) -> int:
    try:
        destination.check(file.filename, file.size_bytes)
        if file.size_bytes is not None and file.offset is not None:
            return max(0, file.size_bytes - file.offset)
        return decoded_size_bytes(file.content)
    except WorkerError:
        return 0  # it will be rejected
