"""`download`: what a process was started for."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, RunPodJob, TimeLimit
from lorapod.actions.download_file import FileParts, PartRequest
from lorapod.processes.manager import RealProcessManager
from lorapod.thread_pools import FILES
from lorapod.volume.artifacts import final_artifact
from lorapod.wire.files import DownloadResult
from lorapod.wire.model import ProcessId


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
    artifact = final_artifact(processes.get(request.process_id), file_parts.workspace)
    return file_parts.read(artifact, request, job)


ACTION = Action(
    type="download",
    summary="The final artifact of a process, in parts that each fit one answer.",
    request=DownloadRequest,
    result=DownloadResult,
    run=download,
    time_limit=TimeLimit.FILE,
)
