"""`health`: whether this worker is fit for its work, and what it has left."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from pydantic import Field

from lorapod import __version__
from lorapod.actions.action import Action
from lorapod.clock import Clock
from lorapod.engines.port import EngineStatus
from lorapod.engines.registry import EngineRegistry
from lorapod.events.courier import Courier
from lorapod.processes.manager import RealProcessManager
from lorapod.settings import Settings
from lorapod.telemetry import Disk, Gpu, GpuReport, Memory, Telemetry
from lorapod.trainers.port import TrainerStatus
from lorapod.trainers.registry import AUTO, TrainerRegistry
from lorapod.wire.machine import (
    CheckView,
    DiskView,
    EngineView,
    GpuView,
    HealthStatus,
    MemoryView,
    TrainerView,
)
from lorapod.wire.model import Request, Result
from lorapod.workspace import Workspace

#: A GPU driver that hangs must not hang the answer that says so.
GPU_ANSWER_S: Final = 3.0


class HealthRequest(Request):
    """Nothing but the type."""


class HealthResult(Result):
    """The worker's state."""

    status: HealthStatus = Field(description="`ok` when every check is, else `degraded`.")
    checks: list[CheckView] = Field(description="What was looked at.")
    worker_id: str = Field(description="The worker that answered.")
    version: str = Field(description="The worker's version.")
    uptime_s: float = Field(description="Seconds since the worker started.")
    gpu: list[GpuView] = Field(description="The GPUs that this worker may use.")
    memory: MemoryView = Field(description="The container's memory, not the host's.")
    disk: DiskView | None = Field(
        default=None, description="The workspace's file system; left out where it does not answer."
    )
    processes: dict[str, int] = Field(description="This worker's live processes, counted by status.")
    trainers: list[TrainerView] = Field(description="The trainers, the preferred one first.")
    engines: list[EngineView] = Field(description="The engines that generate, the preferred one first.")


async def health(
    _request: HealthRequest,
    *,
    settings: Settings,
    clock: Clock,
    started_at: datetime,
    workspace: Workspace,
    telemetry: Telemetry,
    trainers: TrainerRegistry,
    engines: EngineRegistry,
    processes: RealProcessManager,
    courier: Courier,
) -> HealthResult:
    """Look at the machine and at the trainers; nothing is changed."""
    memory, disk, unwritable, statuses, engine_statuses, report = await asyncio.gather(
        asyncio.to_thread(telemetry.memory),
        asyncio.to_thread(_disk, telemetry, workspace),
        asyncio.to_thread(_unwritable, workspace),
        asyncio.to_thread(trainers.statuses),
        asyncio.to_thread(engines.statuses),
        _gpu_report(telemetry),
    )
    events = await asyncio.to_thread(_event_checks, courier)
    checks = [
        CheckView(name="workspace", ok=not unwritable, detail=unwritable or "The workspace can be written."),
        _disk_check(disk, settings),
        _memory_check(memory, settings),
        _gpu_check(report, settings),
        *_trainer_checks(statuses, settings),
        *_engine_checks(engine_statuses, settings),
        *events,
    ]
    return HealthResult(
        status=HealthStatus.OK if all(check.ok for check in checks) else HealthStatus.DEGRADED,
        checks=checks,
        worker_id=settings.worker_id,
        version=__version__,
        uptime_s=round((clock.now() - started_at).total_seconds(), 3),
        gpu=[_gpu_view(gpu) for gpu in report.gpus],
        memory=MemoryView(
            total_bytes=memory.total_bytes,
            used_bytes=memory.used_bytes,
            available_bytes=memory.available_bytes,
            limited_by=memory.limited_by,
        ),
        disk=_disk_view(disk),
        processes={"queued": 0, "running": 0, **processes.counts()},
        trainers=[
            TrainerView(name=name, available=status.available, version=status.version, detail=status.detail)
            for name, status in statuses.items()
        ],
        engines=[_engine_view(name, status) for name, status in engine_statuses.items()],
    )


async def _gpu_report(telemetry: Telemetry) -> GpuReport:
    try:
        return await asyncio.wait_for(asyncio.to_thread(telemetry.gpu_report), GPU_ANSWER_S)
    except TimeoutError:
        return GpuReport(problem="The NVIDIA driver does not answer.", broken=True)


def _disk(telemetry: Telemetry, workspace: Workspace) -> Disk | None:
    try:
        return telemetry.disk(workspace.root)
    except OSError:
        return None


def _unwritable(workspace: Workspace) -> str:
    """Why nothing can be written below the root; empty where it can.

    A real write: permission bits do not tell of a volume that went read-only or away.
    """
    try:
        with tempfile.TemporaryFile(dir=workspace.root) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        return f"The workspace cannot be written: {error.strerror or type(error).__name__}."
    return ""


def _disk_check(disk: Disk | None, settings: Settings) -> CheckView:
    if disk is None:
        return CheckView(name="disk", ok=False, detail="The workspace's file system does not answer.")
    return CheckView(
        name="disk",
        ok=disk.free_bytes >= settings.disk_min_free_bytes,
        detail=f"{_gigabytes(disk.free_bytes)} free, {_gigabytes(settings.disk_min_free_bytes)} needed.",
    )


def _memory_check(memory: Memory, settings: Settings) -> CheckView:
    return CheckView(
        name="memory",
        ok=memory.available_bytes >= settings.min_free_memory_bytes,
        detail=f"{_gigabytes(memory.available_bytes)} of {_gigabytes(memory.total_bytes)} available, "
        f"{_gigabytes(settings.min_free_memory_bytes)} needed.",
    )


def _gpu_check(report: GpuReport, settings: Settings) -> CheckView:
    if not report.problem:
        names = ", ".join(gpu.name for gpu in report.gpus)
        return CheckView(name="gpu", ok=True, detail=f"GPUs of this worker: {names}.")
    if not report.driver and settings.allow_cpu:
        return CheckView(name="gpu", ok=True, detail=f"{report.problem} ALLOW_CPU is set, so none is needed.")
    return CheckView(name="gpu", ok=False, detail=report.problem)


def _trainer_checks(statuses: Mapping[str, TrainerStatus], settings: Settings) -> Iterator[CheckView]:
    """A trainer is a fault only where it is missed: the one that TRAINER names, or all of them for `auto`."""
    chosen = settings.trainer
    usable = any(status.available for status in statuses.values())
    for name, status in statuses.items():
        missed = name == chosen or (chosen == AUTO and not usable)
        detail = status.detail or ("Available." if status.available else "Not available.")
        if not status.available and not missed:
            detail = f"{detail.rstrip('.')}; not needed here (TRAINER={chosen})."
        yield CheckView(name=f"trainer:{name}", ok=status.available or not missed, detail=detail)


def _engine_checks(statuses: Mapping[str, EngineStatus], settings: Settings) -> Iterator[CheckView]:
    """Which engines an image has is its maker's choice: only the one that ENGINE names can be missed."""
    if settings.engine == AUTO:
        return
    status = statuses.get(settings.engine)
    yield CheckView(
        name=f"engine:{settings.engine}",
        ok=status is not None and status.available,
        detail=status.detail
        if status is not None
        else f"There is no such engine (ENGINE={settings.engine}).",
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


def _event_checks(courier: Courier) -> list[CheckView]:
    """The outbox of this worker, for each way by which events travel; what waits is not lost."""
    try:
        states = courier.states()
    except OSError as error:
        return [CheckView(name="events", ok=False, detail=f"The outbox cannot be read: {error.strerror}.")]
    return [
        CheckView(
            name=f"events:{state.name}",
            ok=state.error is None,
            detail=f"{state.undelivered} events wait{'' if state.error is None else f': {state.error}'}.",
        )
        for state in states
    ]


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


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"


ACTION = Action(
    type="health",
    summary="Tells whether the worker is fit for its work: workspace, disk, memory, GPUs, trainers, engines.",
    request=HealthRequest,
    result=HealthResult,
    run=health,
)
