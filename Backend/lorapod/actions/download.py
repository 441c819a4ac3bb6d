"""`download`: what a process was started for."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lorapod import weights
from lorapod.actions.action import Action, RunPodJob, TimeLimit
from lorapod.actions.download_file import DownloadResult, FileParts, PartRequest
from lorapod.errors import Conflict, NotFound
from lorapod.processes.manager import RealProcessManager
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.thread_pools import FILES
from lorapod.volume import artifacts
from lorapod.wire.model import ProcessId
from lorapod.workspace import Workspace


class DownloadRequest(PartRequest):
    """Which part of which process's final artifact."""

    process_id: ProcessId = Field(description="The process, as `train` answered it.")


async def download(
    request: DownloadRequest, *, processes: RealProcessManager, file_parts: FileParts, job: RunPodJob
) -> DownloadResult:
    """Read the part in a thread."""
    return await FILES.run(_download, request, processes, file_parts, job)


def _download(
    request: DownloadRequest, processes: RealProcessManager, file_parts: FileParts, job: RunPodJob
) -> DownloadResult:
    record = processes.get(request.process_id)
    if record.status is not ProcessStatus.COMPLETED:
        raise Conflict(
            f"{record.process_id} is {record.status}: it has no final artifact.",
            hint="`process_status` names its checkpoints; `download_file` fetches them.",
            details=[{"field": "process_id", "status": record.status.value}],
        )
    return file_parts.read(_artifact(record, file_parts.workspace), request, job)


def _artifact(record: ProcessRecord, workspace: Workspace) -> Path:
    """The one file that a completed process was started for.

    Raises:
        NotFound: it has left no file.
        Conflict: it has left several.
    """
    if record.trainer:
        return record.run_folder(workspace) / (record.name + weights.SUFFIX)
    left = artifacts.left_by_a_task(record, workspace)
    if not left:
        raise NotFound(f"{record.process_id} has left no file.")
    if len(left) > 1:
        raise Conflict(
            f"{record.process_id} has left {len(left)} files.",
            hint="`bulk_download` brings them all; `download_file` each, by its path in `process_status`.",
        )
    return left[0]


ACTION = Action(
    type="download",
    summary="The final artifact of a process, in parts that each fit one answer.",
    request=DownloadRequest,
    result=DownloadResult,
    run=download,
    time_limit=TimeLimit.FILE,
)
