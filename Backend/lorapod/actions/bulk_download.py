"""`bulk_download`: many files as one zip."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.download_file import DownloadResult, Pace, PartRequest, part_of, workspace_file
from lorapod.actions.services import Services
from lorapod.errors import NotFound
from lorapod.files.archive import entries_of
from lorapod.files.listing import list_files
from lorapod.processes import artifacts
from lorapod.wire.model import PathText, ProcessId, RelativePath


class BulkDownloadRequest(PartRequest):
    """Which files, and which part of their zip."""

    process_ids: list[ProcessId] = Field(
        default_factory=list,
        max_length=1000,
        description="Processes whose checkpoints, samples, pictures, config and log are wished.",
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
        description="The zip, relative to the workspace; `download_file` goes on from it. It is kept for a day after "
        "it was last asked for here."
    )
    file_count: int = Field(description="Files in the zip.")


async def bulk_download(
    request: BulkDownloadRequest, services: Services, job: RunPodJob
) -> BulkDownloadResult:
    """Build the zip in a thread, unless it stands; a job that is cancelled stops building."""
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(_bulk_download, request, services, job, given_up)
    finally:
        given_up.set()


class _GivenUp(Exception):
    """Nobody waits for the archive any more."""


class _Packing:
    """Tells the job how far its archive is, now and then."""

    def __init__(
        self, job: RunPodJob, given_up: threading.Event, total_bytes: int, interval_s: float
    ) -> None:
        self._job = job
        self._given_up = given_up
        self._total_bytes = total_bytes
        self._pace = Pace(interval_s=interval_s)

    def __call__(self, packed_bytes: int) -> None:
        if self._given_up.is_set():
            raise _GivenUp
        if self._pace.due():
            self._job.show(
                {"phase": "packing", "packed_bytes": packed_bytes, "total_bytes": self._total_bytes}
            )


def _bulk_download(
    request: BulkDownloadRequest, services: Services, job: RunPodJob, given_up: threading.Event
) -> BulkDownloadResult:
    entries = entries_of(_files(request, services))
    total_bytes = sum(entry.size_bytes for entry in entries)
    packing = _Packing(job, given_up, total_bytes, services.settings.progress_interval_s)
    archive = services.archives.archive(entries, packing)
    part = part_of(archive, request, services, job)
    return BulkDownloadResult(
        **dict(part), archive_path=services.workspace.relative(archive), file_count=len(entries)
    )


def _files(request: BulkDownloadRequest, services: Services) -> Iterator[tuple[str, Path]]:
    for process_id in request.process_ids:
        yield from _process_files(process_id, services)
    for text in request.file_paths:
        yield from _named_files(text, services)


def _process_files(process_id: str, services: Services) -> Iterator[tuple[str, Path]]:
    workspace = services.workspace
    record = services.processes.get(process_id)
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


def _named_files(text: str, services: Services) -> Iterator[tuple[str, Path]]:
    workspace = services.workspace
    path = workspace_file(text, workspace)
    if not path.is_dir():
        yield workspace.relative(path), path
        return
    shelf = services.archives.folder
    # An archive that held other archives would grow with every request.
    found = [file.path for file in list_files(workspace, path).files if file.path.parent != shelf]
    if not found:
        raise NotFound(f"There are no files in {workspace.relative(path)}.")
    for file in found:
        yield workspace.relative(file), file


ACTION = Action(
    type="bulk_download",
    summary="Many files, or all that processes made, as one zip: built once, in parts that each fit one reply.",
    request=BulkDownloadRequest,
    result=BulkDownloadResult,
    run=bulk_download,
)
