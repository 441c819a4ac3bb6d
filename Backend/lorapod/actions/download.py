"""`download`: what a process was started for."""

from __future__ import annotations

import asyncio

from pydantic import Field

from lorapod import weights
from lorapod.actions.action import Action, Job
from lorapod.actions.download_file import DownloadResult, PartRequest, part_of
from lorapod.actions.services import Services
from lorapod.errors import Conflict
from lorapod.processes.status import ProcessStatus
from lorapod.wire.model import ProcessId


class DownloadRequest(PartRequest):
    """Which part of which process's final artifact."""

    process_id: ProcessId = Field(description="The process, as `train` answered it.")


async def download(request: DownloadRequest, services: Services, job: Job) -> DownloadResult:
    """Read the part in a thread."""
    return await asyncio.to_thread(_download, request, services, job)


def _download(request: DownloadRequest, services: Services, job: Job) -> DownloadResult:
    record = services.processes.get(request.process_id)
    if record.status is not ProcessStatus.COMPLETED:
        raise Conflict(
            f"{record.process_id} is {record.status}: it has no final artifact.",
            hint="`process_status` names its checkpoints; `download_file` fetches them.",
            details=[{"field": "process_id", "status": record.status.value}],
        )
    path = record.run_folder(services.workspace) / (record.name + weights.SUFFIX)
    return part_of(path, request, services, job)


ACTION = Action(
    type="download",
    summary="The final artifact of a process, in parts that each fit one reply.",
    request=DownloadRequest,
    result=DownloadResult,
    run=download,
)
