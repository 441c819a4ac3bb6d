"""What `health` looks at: each part by its own probe, so that one that hangs delays no answer."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from lorapod.actions.endpoint_checks import cached_model_check, front_door_check, retention_check
from lorapod.cached_models import CachedModel, CachedModels
from lorapod.captioners.port import CaptionerStatus
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.engines.port import EngineStatus
from lorapod.engines.registry import EngineRegistry
from lorapod.events.courier import Courier
from lorapod.events.port import SinkState
from lorapod.models.layout import LayoutReport, look_at_layout, missing_volume, short_text
from lorapod.settings import Settings
from lorapod.telemetry import Disk, GpuReport, Memory, Telemetry
from lorapod.telemetry.probe import Probe
from lorapod.telemetry.volume import VolumeMeter, VolumeUsage
from lorapod.thread_pools import HEALTH
from lorapod.trainers.port import TrainerStatus
from lorapod.trainers.registry import AUTO, TrainerRegistry
from lorapod.wire.machine import CheckView
from lorapod.workspace import Workspace

#: Seconds that everything but the GPU driver may take to answer; it has `telemetry.gpu.DRIVER_WAIT_S`.
LOOK_S: Final = 10.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found; a part is None if it has never answered."""

    memory: Memory
    gpus: GpuReport
    disk: Disk | None
    #: Why nothing can be written to the workspace; empty if it can.
    unwritable: str
    trainers: Mapping[str, TrainerStatus] | None
    engines: Mapping[str, EngineStatus] | None
    captioners: Mapping[str, CaptionerStatus] | None
    sinks: Sequence[SinkState] | OSError | None
    layout: LayoutReport | OSError | None = None
    #: What takes the space of the workspace, as it was measured last.
    usage: VolumeUsage | None = None
    #: The models of the Hub that are here.
    base_models: Sequence[CachedModel] | None = None

    def checks(self, settings: Settings) -> list[CheckView]:
        """Judge what was found by what the settings ask for."""
        workspace = CheckView(
            name="workspace",
            ok=not self.unwritable,
            detail=self.unwritable or "The workspace can be written.",
        )
        return [
            workspace,
            _disk_check(self.disk, settings),
            _memory_check(self.memory, settings),
            *self._program_checks(settings),
            *_event_checks(self.sinks),
            *_volume_checks(self.layout, settings),
            *cached_model_check(self.base_models, settings),
            *retention_check(settings),
        ]

    def _program_checks(self, settings: Settings) -> Iterator[CheckView]:
        """Judge the GPU, the trainers and the engines, which a front door does not need."""
        yield from front_door_check(settings)
        if settings.front_door_of is not None:
            return
        yield _gpu_check(self.gpus, settings)
        yield from _trainer_checks(self.trainers, settings)
        yield from _engine_checks(self.engines, settings)


class Checkup:
    """Looks at the machine, the trainers, the engines, the captioners and the events; changes nothing."""

    def __init__(
        self,
        *,
        telemetry: Telemetry,
        workspace: Workspace,
        trainers: TrainerRegistry,
        engines: EngineRegistry,
        captioners: CaptionerRegistry,
        courier: Courier,
        whole_volume: bool = False,
        volume: VolumeMeter,
        cached: CachedModels,
        look_s: float = LOOK_S,
    ) -> None:
        """Look at nothing yet; each thing then has `look_s` seconds to answer.

        With `whole_volume`, every model folder of the volume is looked into.
        """
        self._look_s = look_s
        self._telemetry = telemetry
        self._disk = Probe("disk", lambda: _disk(telemetry, workspace))
        self._unwritable = Probe("workspace", lambda: _unwritable(workspace))
        self._trainers = Probe("trainers", trainers.statuses)
        self._engines = Probe("engines", engines.statuses)
        self._captioners = Probe("captioners", captioners.statuses)
        self._sinks = Probe("events", lambda: _sinks(courier))
        self._layout = Probe("volume", lambda: _layout(workspace, whole=whole_volume))
        self._usage = Probe("usage", volume.latest)
        self._base_models = Probe("models", cached.all)

    async def look(self) -> Findings:
        """Look at everything at once."""
        machine = asyncio.gather(
            HEALTH.run(self._telemetry.memory),
            HEALTH.run(self._telemetry.gpu_report),
            self._fresh(self._disk),
            self._fresh(self._unwritable),
        )
        software = asyncio.gather(
            self._latest(self._trainers),
            self._latest(self._engines),
            self._latest(self._captioners),
            self._latest(self._sinks),
            self._latest(self._layout),
        )
        (
            (memory, gpus, disk, unwritable),
            (trainers, engines, captioners, sinks, layout),
            usage,
            base_models,
        ) = await asyncio.gather(
            machine, software, self._latest(self._usage), self._latest(self._base_models)
        )
        return Findings(
            memory=memory,
            gpus=gpus,
            disk=disk,
            unwritable="The workspace does not answer." if unwritable is None else unwritable,
            trainers=trainers,
            engines=engines,
            captioners=captioners,
            sinks=sinks,
            layout=layout,
            usage=usage,
            base_models=base_models,
        )

    async def _fresh(self, probe: Probe[T]) -> T | None:
        reading = await HEALTH.run(probe.ask, self._look_s)
        return reading.value if reading.answered else None

    async def _latest(self, probe: Probe[T]) -> T | None:
        return (await HEALTH.run(probe.ask, self._look_s)).value


def _sinks(courier: Courier) -> Sequence[SinkState] | OSError:
    try:
        return courier.states()
    except OSError as error:
        return error


def _layout(workspace: Workspace, *, whole: bool) -> LayoutReport | OSError:
    try:
        return look_at_layout(workspace, whole=whole)
    except OSError as error:
        return error


def _disk(telemetry: Telemetry, workspace: Workspace) -> Disk | None:
    try:
        return telemetry.disk(workspace.root)
    except OSError:
        return None


def _unwritable(workspace: Workspace) -> str:
    """Return why nothing can be written below the root; an empty text if it can.

    It writes: permission bits do not show that a volume has become read-only or is gone.
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
        return CheckView(
            name="gpu", ok=True, detail=f"{report.problem} ALLOW_CPU is set, so no GPU is needed."
        )
    return CheckView(name="gpu", ok=False, detail=report.problem)


def _trainer_checks(statuses: Mapping[str, TrainerStatus] | None, settings: Settings) -> Iterator[CheckView]:
    """Find fault with a missing trainer only if it is needed: the one that TRAINER names, or all of them for `auto`."""
    if statuses is None:
        yield CheckView(name="trainers", ok=False, detail="Looking for the trainers takes too long.")
        return
    chosen = settings.trainer
    usable = any(status.available for status in statuses.values())
    for name, status in statuses.items():
        missed = name == chosen or (chosen == AUTO and not usable)
        detail = status.detail or ("Available." if status.available else "Not available.")
        if not status.available and not missed:
            detail = f"{detail.rstrip('.')}; not needed here (TRAINER={chosen})."
        yield CheckView(name=f"trainer:{name}", ok=status.available or not missed, detail=detail)


def _engine_checks(statuses: Mapping[str, EngineStatus] | None, settings: Settings) -> Iterator[CheckView]:
    """Find fault with a missing engine only if ENGINE names it: which engines an image has is its maker's choice."""
    if statuses is None:
        yield CheckView(name="engines", ok=False, detail="Looking for the engines takes too long.")
        return
    for each in statuses.values():
        for name, problem in each.problems.items():
            yield CheckView(name=name, ok=False, detail=problem)
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


def _event_checks(sinks: Sequence[SinkState] | OSError | None) -> list[CheckView]:
    """Show how many events wait for each sink; those that wait are not lost."""
    if sinks is None:
        return [CheckView(name="events", ok=False, detail="The outbox does not answer.")]
    if isinstance(sinks, OSError):
        return [CheckView(name="events", ok=False, detail=f"The outbox cannot be read: {sinks.strerror}.")]
    return [
        CheckView(
            name=f"events:{sink.name}",
            ok=sink.error is None,
            detail=f"{sink.undelivered} events wait{'' if sink.error is None else f': {sink.error}'}.",
        )
        for sink in sinks
    ]


def _volume_checks(layout: LayoutReport | OSError | None, settings: Settings) -> Iterator[CheckView]:
    """Name models that no engine finds; they are a fault only if NETWORK_VOLUME_DEBUG is set."""
    debug = settings.network_volume_debug
    if isinstance(layout, LayoutReport):
        problems = [text for text in (missing_volume(settings) if debug else "", *layout.problems) if text]
        if not debug and problems:
            yield CheckView(name="volume", ok=True, detail=short_text(layout))
        elif debug:
            counts = {name: count for name, count in layout.folders.items() if count}
            found = ", ".join(f"{name} {count}" for name, count in counts.items())
            detail = " ".join(problems) or f"Models below `models/`, by folder: {found}."
            yield CheckView(name="volume", ok=not problems, detail=detail)
    elif debug:
        reason = "does not answer" if layout is None else f"cannot be read: {layout.strerror}"
        yield CheckView(name="volume", ok=False, detail=f"The volume {reason}.")


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
