"""`health`: whether this worker is fit for its work, and its free memory and disk."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from lorapod import __version__
from lorapod.actions.action import Action, TimeLimit
from lorapod.actions.checkup import Checkup
from lorapod.actions.disk_usage import volume_view
from lorapod.clock import Clock
from lorapod.engines.port import EngineStatus
from lorapod.processes.manager import RealProcessManager
from lorapod.settings import Settings
from lorapod.telemetry import Disk, Gpu
from lorapod.wire.machine import (
    BaseModelView,
    CaptionerView,
    CheckView,
    DiskUsageView,
    DiskView,
    EngineView,
    GpuView,
    HealthStatus,
    MemoryView,
    TrainerView,
)
from lorapod.wire.model import Request, Result


class HealthRequest(Request):
    """No field but the type."""


class HealthResult(Result):
    """The worker's state."""

    status: HealthStatus = Field(description="`ok` if every check is `ok`, otherwise `degraded`.")
    checks: list[CheckView] = Field(description="What was checked.")
    worker_id: str = Field(description="The worker that answered.")
    version: str = Field(description="The worker's version.")
    uptime_s: float = Field(description="Seconds since the worker started.")
    gpu: list[GpuView] = Field(description="The GPUs that this worker may use.")
    gpu_age_s: float | None = Field(
        default=None,
        description="Age of the figures in `gpu`, in seconds, if the GPU driver does not answer now; left out if they "
        "are new.",
    )
    memory: MemoryView = Field(description="The container's memory, not the host's.")
    disk: DiskView | None = Field(
        default=None, description="The workspace's file system; left out if it does not answer."
    )
    disk_usage: DiskUsageView | None = Field(
        default=None,
        description="What takes the space of the workspace, as it was measured last, for which see the action `disk_usage`; left "
        "out before the first measurement, which this begins.",
    )
    processes: dict[str, int] = Field(description="This worker's live processes, counted by status.")
    trainers: list[TrainerView] = Field(description="The trainers, the preferred one first.")
    engines: list[EngineView] = Field(description="The engines that generate, the preferred one first.")
    captioners: list[CaptionerView] = Field(
        description="The captioners of `caption_dataset`, the preferred one first."
    )
    base_models: list[BaseModelView] = Field(
        default_factory=list,
        description="The HuggingFace models that are here already, and where; every other one is downloaded to the volume first.",
    )


async def health(
    _request: HealthRequest,
    *,
    checkup: Checkup,
    processes: RealProcessManager,
    settings: Settings,
    clock: Clock,
    started_at: datetime,
) -> HealthResult:
    """Look at the machine, the trainers, the engines and the captioners; nothing is changed."""
    found = await checkup.look()
    checks = found.checks(settings)
    memory = found.memory
    return HealthResult(
        status=HealthStatus.OK if all(check.ok for check in checks) else HealthStatus.DEGRADED,
        checks=checks,
        worker_id=settings.worker_id,
        version=__version__,
        uptime_s=round((clock.now() - started_at).total_seconds(), 3),
        gpu=[_gpu_view(gpu) for gpu in found.gpus.gpus],
        gpu_age_s=None if found.gpus.age_s is None else round(found.gpus.age_s, 1),
        memory=MemoryView(
            total_bytes=memory.total_bytes,
            used_bytes=memory.used_bytes,
            available_bytes=memory.available_bytes,
            limited_by=memory.limited_by,
        ),
        disk=_disk_view(found.disk),
        disk_usage=None if found.usage is None else volume_view(found.usage),
        processes={"queued": 0, "running": 0, **processes.counts()},
        trainers=[
            TrainerView(name=name, available=status.available, version=status.version, detail=status.detail)
            for name, status in (found.trainers or {}).items()
        ],
        engines=[_engine_view(name, status) for name, status in (found.engines or {}).items()],
        captioners=[
            CaptionerView(
                name=name,
                available=status.available,
                version=status.version,
                detail=status.detail,
                resident=status.resident,
            )
            for name, status in (found.captioners or {}).items()
        ],
        base_models=[
            BaseModelView(model=each.hub_id, place=each.place.value) for each in found.base_models or ()
        ],
    )


def _engine_view(name: str, status: EngineStatus) -> EngineView:
    return EngineView(
        name=name,
        available=status.available,
        version=status.version,
        detail=status.detail,
        resident=status.resident,
        model=status.model,
    )


def _gpu_view(gpu: Gpu) -> GpuView:
    return GpuView(
        index=gpu.index,
        name=gpu.name,
        memory_total_bytes=gpu.memory_total_bytes,
        memory_used_bytes=gpu.memory_used_bytes,
        utilization_percent=gpu.utilization_percent,
        temperature_c=gpu.temperature_c,
    )


def _disk_view(disk: Disk | None) -> DiskView | None:
    if disk is None:
        return None
    return DiskView(total_bytes=disk.total_bytes, used_bytes=disk.used_bytes, free_bytes=disk.free_bytes)


ACTION = Action(
    type="health",
    summary="Say whether the worker is fit for its work: workspace, disk, memory, GPUs, trainers, engines, captioners.",
    request=HealthRequest,
    result=HealthResult,
    run=health,
    time_limit=TimeLimit.READ,
)
