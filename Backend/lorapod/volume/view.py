"""What a workspace shows of itself by its files alone: processes, logs, metrics and files, without a worker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from lorapod.errors import NotFound, UnsafePath
from lorapod.kinds import FileKind, is_hidden
from lorapod.records import stored_record
from lorapod.records.page import first_page
from lorapod.records.process_id import age_key, is_process_id
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.volume import artifacts, loss_log
from lorapod.volume.branches import BranchListing
from lorapod.volume.curves import last_logged_step, latest_values, read_curves
from lorapod.volume.file_page import FilePage, page_of_files
from lorapod.volume.listed_files import ListedFiles
from lorapod.volume.log_part import LogPart, read_log, read_log_tail
from lorapod.volume.port import EntryKind, FileEntry, VolumeFiles, VolumeListing
from lorapod.volume.process_view import process_view, summary
from lorapod.volume.shown_config import read_shown_config
from lorapod.wire.process import ProcessSummary, ProcessView
from lorapod.workspace import Workspace

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)

#: Files that are read at the same time.
READS_AT_A_TIME: Final = 32

#: How often a record is read again that cannot be understood: its worker may just be replacing it.
_ATTEMPTS: Final = 3


@dataclass(frozen=True, kw_only=True)
class ProcessPage:
    """One page of processes, the newest first."""

    processes: Sequence[ProcessSummary]
    #: None on the last page.
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class MetricSeries:
    """The curves of a training."""

    #: For each key its points `(step, value)`.
    series: loss_log.Series
    last_step: int | None


class VolumeView:
    """Reads one workspace. Every method blocks; it is safe to use from several threads.

    What a worker has in memory only is missing: the answers are at most as old as its newest record.
    """

    def __init__(self, files: VolumeFiles, workspace: Workspace) -> None:
        """Read through `files`; `workspace` is the layout, below the root that `files` has."""
        self.files = files
        self.workspace = workspace
        self._pool = ThreadPoolExecutor(READS_AT_A_TIME, "volume")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def processes(
        self,
        *,
        status: ProcessStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
        sweep_id: str | None = None,
    ) -> ProcessPage:
        """Return a page of processes, the newest first, as the action `processes` does."""
        records = self._records(self._process_ids(cursor), first=limit + 1)
        found, next_cursor = first_page(records, status=status, limit=limit, sweep_id=sweep_id)
        return ProcessPage(processes=[summary(record) for record in found], next_cursor=next_cursor)

    def process(self, process_id: str, *, log_tail: int | None = None, metrics: bool = False) -> ProcessView:
        """Return all that the files tell of one process, as the action `process_status` does.

        Raises:
            NotFound: there is no such process.
        """
        record = self.record(process_id)
        listed = ListedFiles(self.files.below(record.output_folder(self.workspace)))
        return process_view(
            record,
            self.workspace,
            files=listed,
            config=read_shown_config(self.files, self.workspace, process_id) if record.training else None,
            log_tail=self.log_tail(process_id, log_tail) if log_tail else None,
            metrics=latest_values(record, self.workspace, files=self.files) if metrics else None,
        )

    def record(self, process_id: str) -> ProcessRecord:
        """Return the newest record of one process.

        Raises:
            NotFound: there is no such process, or its record cannot be understood.
        """
        record = self._load(process_id) if is_process_id(process_id) else None
        if record is None:
            raise NotFound(
                f"There is no process {process_id!r} on this volume.", hint="`processes` lists them."
            )
        return record

    def log(self, process_id: str, *, offset: int = 0, limit: int = 256_000) -> LogPart:
        """Return a part of a process's log; see `read_log`."""
        return read_log(self.workspace.log_path(process_id), offset, limit, files=self.files)

    def log_tail(self, process_id: str, lines: int) -> list[str]:
        """Return the last lines of a process's log."""
        return read_log_tail(self.workspace.log_path(process_id), lines, files=self.files)

    def metrics(
        self,
        process_id: str,
        *,
        keys: Collection[str] | None = None,
        since_step: int | None = None,
        stride: int = 1,
    ) -> MetricSeries:
        """Return the curves of a training; see `loss_log.read_series`.

        Raises:
            NotFound: there is no such process.
        """
        record = self.record(process_id)
        return MetricSeries(
            series=read_curves(
                record, self.workspace, keys=keys, since_step=since_step, stride=stride, files=self.files
            ),
            last_step=last_logged_step(record, self.workspace, files=self.files),
        )

    def list_files(
        self,
        path: str | None = None,
        *,
        recursive: bool = True,
        pattern: str | None = None,
        kind: FileKind | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> FilePage:
        """Return a page of the files of the workspace, or of one of its folders, as the action `list_files` does.

        Raises:
            NotFound: there is no such folder.
            UnsafePath: the path leads out of the workspace.
        """
        folder = self.path(path or ".")
        listing: VolumeListing = BranchListing(self.files, folder)
        if not self.files.entries(folder):
            alone = self._entry(folder)
            if alone.is_file:
                listing, folder = ListedFiles([alone]), folder.parent
        return page_of_files(
            listing, folder, recursive=recursive, pattern=pattern, kind=kind, limit=limit, cursor=cursor
        )

    def final_artifact(self, process_id: str) -> Path:
        """Return the one file that a completed process was started for, as the action `download` does.

        Raises:
            NotFound: there is no such process, or it has left no file.
            Conflict: it is not completed, or has left several.
        """
        return artifacts.final_artifact(self.record(process_id), self.workspace, is_file=self._is_file)

    def last_heard(self, record: ProcessRecord) -> datetime | None:
        """Return when the worker that holds a process showed last that it lives; None if it has gone."""
        try:
            state = self.files.state(self.workspace.processes / ".workers" / (record.holder or "none"))
        except FileNotFoundError:
            return None
        return datetime.fromtimestamp(state.modified_ns / 1e9, UTC)

    def path(self, text: str) -> Path:
        """Return the path that a person means: relative to the workspace, or absolute under one of its names.

        Raises:
            NotFound: it is hidden.
            UnsafePath: it leads out of the workspace.
        """
        parts = self.workspace.below_root(text).parts
        if ".." in parts or (text.startswith("/") and parts[:1] == ("/",)):
            raise UnsafePath(
                f"The path {text!r} leads outside the workspace.",
                hint="Give a path relative to the workspace, as answers show it.",
            )
        if any(is_hidden(part) for part in parts):
            raise NotFound(f"There is no file {text!r}.", hint="`list_files` lists the files.")
        return self.workspace.root.joinpath(*parts)

    def _entry(self, path: Path) -> FileEntry:
        """Return what a path stands for.

        Raises:
            NotFound: there is nothing.
        """
        for entry in self.files.entries(path.parent):
            if entry.path == path:
                return entry
        if path == self.workspace.root:
            return FileEntry(path=path, kind=EntryKind.FOLDER, state=lambda: self.files.state(path))
        raise NotFound(f"There is no folder {self.workspace.relative(path)!r}.")

    def newest_records(self, types: Collection[str], limit: int) -> Iterator[ProcessRecord]:
        """Yield the records of the newest processes of these types, the newest first."""
        ids = [each for each in self._process_ids(None) if each.rpartition("_")[0] in types]
        return self._records(ids[:limit], first=limit)

    def at_once(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield what `work` makes of each item, in order; it is called in several threads."""
        return self._pool.map(work, items)

    def content(self, path: Path) -> bytes | None:
        """Return the content of a file below the root; None if it is not there."""
        return self._content(path)

    def contents(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """Yield the content of each file in order, None for one that is not there; several are read at a time.

        Args:
            paths: relative to the workspace, as answers show them; for pictures and texts, not for weights. One that
                leads out of it counts as not there.
        """
        return self.at_once(self._shown_content, paths)

    def _process_ids(self, cursor: str | None) -> Sequence[str]:
        names = (entry.name for entry in self.files.entries(self.workspace.processes))
        ids = [
            name
            for name in names
            if is_process_id(name) and (cursor is None or age_key(name) < age_key(cursor))
        ]
        return sorted(ids, key=age_key, reverse=True)

    def _records(self, process_ids: Sequence[str], *, first: int) -> Iterator[ProcessRecord]:
        """Yield the records that are there, in order; read `first` of them at once, then more and more."""
        begin, count = 0, first
        while begin < len(process_ids):
            found = self.at_once(self._load, process_ids[begin : begin + count])
            yield from (record for record in found if record is not None)
            begin, count = begin + count, count * 2

    def _load(self, process_id: str) -> ProcessRecord | None:
        """Return the newest record of a process; None if it is gone, or cannot be understood."""
        folder = self.workspace.process_folder(process_id)
        # One list for each process: servers that serve a file system walk the whole tree for a list of all.
        taken = self.files.entries(folder / stored_record.TAKEN_NAME)
        generation = stored_record.newest_generation(entry.name for entry in taken)
        path = stored_record.record_path(folder, generation)
        for attempt in range(1, _ATTEMPTS + 1):
            data = self._content(path)
            try:
                return None if data is None else stored_record.load(data)
            except ValueError as error:
                if attempt == _ATTEMPTS:
                    logger.warning(
                        "record cannot be read", extra={"path": path.as_posix(), "reason": str(error)}
                    )
        return None

    def _shown_content(self, text: str) -> bytes | None:
        leads_out = PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts
        return None if leads_out else self._content(self.workspace.root / text)

    def _is_file(self, path: Path) -> bool:
        try:
            self.files.state(path)
        except FileNotFoundError:
            return False
        return True

    def _content(self, path: Path) -> bytes | None:
        try:
            return self.files.read(path).data
        except (FileNotFoundError, NotADirectoryError):
            return None
