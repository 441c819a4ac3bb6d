"""`bulk_download`: many files as one zip."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from lorapod.actions.action import Action, RunPodJob, TimeLimit
from lorapod.actions.download_file import FileParts, Pace, PartRequest, workspace_file
from lorapod.errors import NotFound
from lorapod.files.archive import entries_of
from lorapod.files.archive_cache import ArchiveCache
from lorapod.files.listing import list_files
from lorapod.processes.manager import RealProcessManager
from lorapod.thread_pools import FILES
from lorapod.volume import artifacts
from lorapod.wire.files import DownloadResult
from lorapod.wire.model import PathText, ProcessId, RelativePath
from lorapod.workspace import Workspace


class BulkDownloadRequest(PartRequest):
    """Which files, and which part of their zip."""

    process_ids: list[ProcessId] = Field(
        default_factory=list,
        max_length=1000,
        description="Processes whose checkpoints, samples, images, config and log are wanted.",
    )
    file_paths: list[PathText] = Field(
        default_factory=list,
        max_length=10_000,
        description="Files, or folders with all that is in them; relative to the workspace or absolute under it.",
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.process_ids and not self.file_paths:
            raise ValueError("name process_ids or file_paths")
        return self


class BulkDownloadResult(DownloadResult):
    """A part of the zip."""

    archive_path: RelativePath = Field(
        description="The zip, relative to the workspace; `download_file` fetches its next parts. It is kept for a day "
        "after it was last requested here."
    )
    file_count: int = Field(description="Files in the zip.")


async def bulk_download(
    request: BulkDownloadRequest,
    *,
    processes: RealProcessManager,
    archives: ArchiveCache,
    file_parts: FileParts,
    job: RunPodJob,
) -> BulkDownloadResult:
    """Build the zip in a thread, unless it exists; stop building if the job is cancelled."""
    packing = _Packing(job, interval_s=file_parts.settings.progress_interval_s)
    found = _Found(processes=processes, archives=archives, workspace=file_parts.workspace)
    try:
        return await FILES.run(_bulk_download, request, found, packing, file_parts, job)
    finally:
        packing.given_up.set()


class _GivenUp(Exception):
    """The job no longer waits for the archive."""


class _Packing:
    """Reports the progress of the archive to the job, now and then."""

    def __init__(self, job: RunPodJob, *, interval_s: float) -> None:
        self._job = job
        #: Set when the job does not wait for the archive any more.
        self.given_up = threading.Event()
        self.total_bytes = 0
        self._pace = Pace(interval_s=interval_s)

    def __call__(self, packed_bytes: int) -> None:
        if self.given_up.is_set():
            raise _GivenUp
        if self._pace.due():
            self._job.show(
                {"phase": "packing", "packed_bytes": packed_bytes, "total_bytes": self.total_bytes}
            )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What finds the files that a request names."""

    processes: RealProcessManager
    archives: ArchiveCache
    workspace: Workspace

    def files(self, request: BulkDownloadRequest) -> Iterator[tuple[str, Path]]:
        """Yield each file with its name in the archive."""
        for process_id in request.process_ids:
            yield from self._of_process(process_id)
        for text in request.file_paths:
            yield from self._named(text)

    def _of_process(self, process_id: str) -> Iterator[tuple[str, Path]]:
        workspace = self.workspace
        record = self.processes.get(process_id)
        for path in artifacts.left_by_a_task(record, workspace):
            yield f"{process_id}/{path.name}", path
        folder = record.run_folder(workspace)
        for checkpoint in artifacts.checkpoints(folder, record.name):
            yield f"{process_id}/{checkpoint.path.name}", checkpoint.path
        for sample in artifacts.samples(folder):
            yield f"{process_id}/samples/{sample.path.name}", sample.path
        for name, path in (
            ("config.yaml", record.config_path(workspace)),
            ("training.log" if record.trainer else "process.log", workspace.log_path(process_id)),
        ):
            if path.is_file():
                yield f"{process_id}/{name}", path

    def _named(self, text: str) -> Iterator[tuple[str, Path]]:
        workspace = self.workspace
        path = workspace_file(text, workspace)
        if not path.is_dir():
            yield workspace.relative(path), path
            return
        # An archive that held other archives would grow with every request.
        listed = list_files(workspace, path).files
        found = [file.path for file in listed if file.path.parent != self.archives.folder]
        if not found:
            raise NotFound(f"There are no files in {workspace.relative(path)}.")
        for file in found:
            yield workspace.relative(file), file


def _bulk_download(
    request: BulkDownloadRequest, found: _Found, packing: _Packing, file_parts: FileParts, job: RunPodJob
) -> BulkDownloadResult:
    entries = entries_of(found.files(request))
    packing.total_bytes = sum(entry.size_bytes for entry in entries)
    archive = found.archives.archive(entries, packing)
    part = file_parts.read(archive, request, job)
    return BulkDownloadResult(
        **dict(part), archive_path=found.workspace.relative(archive), file_count=len(entries)
    )


ACTION = Action(
    type="bulk_download",
    summary="Many files, or everything that processes made, as one zip: built once, sent in parts that each fit one answer.",
    request=BulkDownloadRequest,
    result=BulkDownloadResult,
    run=bulk_download,
    time_limit=TimeLimit.FILE,
)
