"""`disk_usage`: what takes the space of the workspace."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.telemetry import Telemetry
from lorapod.telemetry.volume import VolumeMeter, VolumeUsage
from lorapod.thread_pools import FILES
from lorapod.wire.machine import DiskUsageView, VolumeEntryView, VolumePartView
from lorapod.wire.model import Request, Result
from lorapod.workspace import Workspace


class DiskUsageRequest(Request):
    """How old the figures may be."""

    max_age_s: float = Field(
        default=60.0,
        ge=0,
        le=30 * 24 * 3600,
        description="Seconds: if the last measurement is younger, it is answered; otherwise the worker looks at every file.",
    )


class DiskUsageResult(Result, DiskUsageView):
    """What takes the space of the workspace."""

    largest: list[VolumeEntryView] = Field(
        description="Datasets, outputs, models and other folders, the largest first, 30 at most."
    )
    total_bytes: int = Field(
        description="Size of the file system; a network volume may show its whole cluster."
    )
    free_bytes: int = Field(description="What the worker may still write.")


async def disk_usage(
    request: DiskUsageRequest, *, volume: VolumeMeter, telemetry: Telemetry, workspace: Workspace
) -> DiskUsageResult:
    """Look at every file in a thread, unless that was done a moment ago."""
    usage = await FILES.run(volume.measure, max_age_s=request.max_age_s)
    disk = await FILES.run(telemetry.disk, workspace.root)
    return DiskUsageResult(
        **dict(volume_view(usage)),
        largest=[VolumeEntryView(path=entry.path, size_bytes=entry.size_bytes) for entry in usage.largest],
        total_bytes=disk.total_bytes,
        free_bytes=disk.free_bytes,
    )


def volume_view(usage: VolumeUsage) -> DiskUsageView:
    """Return the measurement as answers show it."""
    return DiskUsageView(
        measured_at=usage.measured_at,
        complete=usage.complete,
        parts=[
            VolumePartView(name=part.name, size_bytes=part.size_bytes, files=part.files)
            for part in usage.parts
        ],
    )


ACTION = Action(
    type="disk_usage",
    summary="What takes the space of the workspace: datasets, outputs, models, caches; and the largest of them.",
    request=DiskUsageRequest,
    result=DiskUsageResult,
    run=disk_usage,
    time_limit=TimeLimit.FILE,
)
