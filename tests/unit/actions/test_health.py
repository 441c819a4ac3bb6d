from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from lorapod import __version__
from lorapod.actions import health
from lorapod.actions.checkup import Checkup
from lorapod.cached_models import CachedModels
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.engines.registry import EngineRegistry
from lorapod.events.port import SinkState
from lorapod.settings import Settings
from lorapod.telemetry import Disk, Gpu, GpuReport, Memory
from lorapod.telemetry.memory import MemoryLimit
from lorapod.telemetry.volume import VolumeMeter
from lorapod.testing.captioner import FakeCaptioner
from lorapod.testing.clock import FakeClock
from lorapod.testing.engine import FakeEngine
from lorapod.trainers.port import TrainerStatus
from lorapod.wire.machine import HealthStatus
from lorapod.workspace import Workspace

GPU = Gpu(index=0, uuid="GPU-0", name="NVIDIA A40", memory_total_bytes=48_000_000_000, temperature_c=40)
READY = TrainerStatus(available=True, version="1.2", detail="Found at /app.")
ABSENT = TrainerStatus(available=False, detail="No checkout at /app.")
NO_DRIVER = GpuReport(problem="No NVIDIA driver on this machine.", driver=False)


class FakeTelemetry:
    def __init__(self) -> None:
        self.free_bytes = 50_000_000_000
        self.available_bytes = 8_000_000_000
        self.report = GpuReport(gpus=(GPU,))
        self.disk_error: OSError | None = None

    def memory(self) -> Memory:
        return Memory(
            total_bytes=10_000_000_000,
            used_bytes=10_000_000_000 - self.available_bytes,
            available_bytes=self.available_bytes,
            limited_by=MemoryLimit.CONTAINER,
        )

    def disk(self, _path: Path) -> Disk:
        if self.disk_error is not None:
            raise self.disk_error
        return Disk(total_bytes=100_000_000_000, used_bytes=1, free_bytes=self.free_bytes)

    def gpu_report(self) -> GpuReport:
        return self.report


class FakeTrainers:
    def __init__(self, statuses: Mapping[str, TrainerStatus]) -> None:
        self._statuses = statuses

    def statuses(self) -> Mapping[str, TrainerStatus]:
        return self._statuses


class FakeProcesses:
    @staticmethod
    def counts() -> Mapping[str, int]:
        return {"running": 1, "stopping": 2}


class FakeCourier:
    def __init__(self, *states: SinkState, failure: OSError | None = None) -> None:
        self._states = states
        self._failure = failure

    def states(self) -> Sequence[SinkState]:
        if self._failure is not None:
            raise self._failure
        return self._states


@pytest.fixture
def telemetry() -> FakeTelemetry:
    return FakeTelemetry()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


async def ask(
    telemetry: FakeTelemetry,
    workspace: Workspace,
    *,
    statuses: Mapping[str, TrainerStatus] | None = None,
    courier: FakeCourier | None = None,
    **settings: Any,
) -> health.HealthResult:
    clock = FakeClock()
    started_at = clock.now()
    clock.advance(timedelta(minutes=2).total_seconds())
    return await health.health(
        health.HealthRequest(),
        settings=Settings(runpod_pod_id="pod-1", **settings),
        clock=clock,
        started_at=started_at,
        processes=cast("Any", FakeProcesses()),
        checkup=Checkup(
            workspace=workspace,
            telemetry=cast("Any", telemetry),
            trainers=cast("Any", FakeTrainers(statuses or {"ai-toolkit": READY})),
            engines=EngineRegistry([FakeEngine()], preferred=settings.get("engine", "auto")),
            captioners=CaptionerRegistry([FakeCaptioner()]),
            courier=cast("Any", courier or FakeCourier()),
            whole_volume=settings.get("network_volume_debug", False),
            volume=VolumeMeter(workspace, clock),
            cached=CachedModels.of(Settings(**settings)),
        ),
    )


def failing(result: health.HealthResult) -> dict[str, str]:
    return {check.name: check.detail for check in result.checks if not check.ok}


async def test_the_engines_are_told_and_missed_only_where_one_is_named(
    telemetry: FakeTelemetry, workspace: Workspace
) -> None:
    result = await ask(telemetry, workspace)
    assert result.answer()["engines"] == [
        {"name": "fake", "available": True, "version": "1", "detail": "draws squares", "resident": False}
    ]
    assert failing(await ask(telemetry, workspace, engine="fake")) == {}
    missed = await ask(telemetry, workspace, engine="comfyui")
    assert failing(missed) == {"engine:comfyui": "There is no such engine (ENGINE=comfyui)."}


async def test_a_cached_model_is_missed_where_runpod_does_not_keep_it(
    telemetry: FakeTelemetry, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, volume = tmp_path / "host", tmp_path / "hf" / "hub"
    monkeypatch.setenv("HF_HOME", str(volume.parent))
    for cache, name in ((host, "models--org--kept"), (volume, "models--org--downloaded")):
        (cache / name / "snapshots" / "a1").mkdir(parents=True)
        (cache / name / "snapshots" / "a1" / "model_index.json").write_text("{}")
    settings: dict[str, Any] = {"model_cache_path": host}

    well = await ask(telemetry, workspace, cached_model="org/kept", **settings)
    volume_only = await ask(telemetry, workspace, cached_model="org/downloaded", **settings)
    nowhere = await ask(telemetry, workspace, cached_model="org/nowhere", **settings)
    door = await ask(telemetry, workspace, cached_model="org/nowhere", front_door_of="gpu", **settings)

    assert well.answer()["base_models"] == [
        {"model": "org/downloaded", "place": "volume"},
        {"model": "org/kept", "place": "runpod_cache"},
    ]
    assert failing(well) == failing(door) == {}
    assert "so it is read from the volume" in failing(volume_only)["cached_model"]
    assert "so it is downloaded to the volume" in failing(nowhere)["cached_model"]


async def test_the_captioners_are_listed_and_none_is_missed(
    telemetry: FakeTelemetry, workspace: Workspace
) -> None:
    result = await ask(telemetry, workspace)

    assert result.answer()["captioners"] == [
        {"name": "fake", "available": True, "version": "1", "detail": "A fake.", "resident": False}
    ]
    assert failing(result) == {}


@pytest.mark.parametrize("debug", [False, True], ids=["by itself", "NETWORK_VOLUME_DEBUG"])
async def test_models_where_no_engine_looks_are_told(
    telemetry: FakeTelemetry, workspace: Workspace, *, debug: bool
) -> None:
    for name in ("checkpoints", "vae"):
        (workspace.root / name).mkdir()
        (workspace.root / name / "a.safetensors").write_bytes(b"0" * 2048)

    result = await ask(telemetry, workspace, network_volume_debug=debug)

    (volume,) = [check for check in result.checks if check.name == "volume"]
    assert volume.ok is not debug
    assert "`models/checkpoints/`" in volume.detail
    assert ("`models/vae/`" in volume.detail) is debug


async def test_a_volume_that_is_right_is_told_on_request(
    telemetry: FakeTelemetry, workspace: Workspace
) -> None:
    (workspace.models / "vae").mkdir()
    (workspace.models / "vae/a.safetensors").write_bytes(b"0" * 2048)

    result = await ask(telemetry, workspace, network_volume_debug=True)

    (volume,) = [check for check in result.checks if check.name == "volume"]
    assert (volume.ok, volume.detail) == (True, "Models below `models/`, by folder: vae 1.")


async def test_a_fit_worker_is_ok(telemetry: FakeTelemetry, workspace: Workspace) -> None:
    result = await ask(telemetry, workspace)
    assert (result.status, failing(result)) == (HealthStatus.OK, {})
    assert [check.name for check in result.checks] == [
        "workspace",
        "disk",
        "memory",
        "gpu",
        "trainer:ai-toolkit",
    ]
    answer = result.answer()
    assert answer["gpu"] == [
        {"index": 0, "name": "NVIDIA A40", "memory_total_bytes": 48_000_000_000, "temperature_c": 40}
    ]
    assert answer["memory"]["limited_by"] == "container"
    assert answer["processes"] == {"queued": 0, "running": 1, "stopping": 2}
    assert answer["trainers"] == [
        {"name": "ai-toolkit", "available": True, "version": "1.2", "detail": "Found at /app."}
    ]
    assert (answer["worker_id"], answer["version"], answer["uptime_s"]) == ("pod-1", __version__, 120.0)


async def test_health_leaves_nothing_behind(telemetry: FakeTelemetry, workspace: Workspace) -> None:
    VolumeMeter(workspace, FakeClock()).measure()
    before = sorted(workspace.root.rglob("*"))
    await ask(telemetry, workspace)
    assert sorted(workspace.root.rglob("*")) == before


async def test_little_disk_degrades(telemetry: FakeTelemetry, workspace: Workspace) -> None:
    telemetry.free_bytes = 999_999_999
    result = await ask(telemetry, workspace)
    assert result.status is HealthStatus.DEGRADED
    assert failing(result) == {"disk": "1.0 GB free, 1.0 GB needed."}


async def test_a_disk_that_does_not_answer_degrades(telemetry: FakeTelemetry, workspace: Workspace) -> None:
    telemetry.disk_error = OSError(107, "Transport endpoint is not connected")
    result = await ask(telemetry, workspace)
    assert set(failing(result)) == {"disk"}
    assert "disk" not in result.answer()


async def test_little_memory_degrades(telemetry: FakeTelemetry, workspace: Workspace) -> None:
    telemetry.available_bytes = 1
    assert set(failing(await ask(telemetry, workspace))) == {"memory"}


async def test_a_workspace_that_is_gone_degrades(telemetry: FakeTelemetry, tmp_path: Path) -> None:
    result = await ask(telemetry, Workspace(root=tmp_path / "gone"))
    assert failing(result) == {"workspace": "The workspace cannot be written: No such file or directory."}


async def test_no_gpu_degrades_unless_the_cpu_is_meant(
    telemetry: FakeTelemetry, workspace: Workspace
) -> None:
    telemetry.report = NO_DRIVER
    assert failing(await ask(telemetry, workspace)) == {"gpu": "No NVIDIA driver on this machine."}
    assert (await ask(telemetry, workspace, allow_cpu=True)).status is HealthStatus.OK


async def test_a_broken_gpu_degrades_even_where_the_cpu_is_allowed(
    telemetry: FakeTelemetry, workspace: Workspace
) -> None:
    telemetry.report = GpuReport(gpus=(), problem="A GPU does not answer: GPU 0: lost.")
    result = await ask(telemetry, workspace, allow_cpu=True)
    assert failing(result) == {"gpu": "A GPU does not answer: GPU 0: lost."}
    assert result.gpu == []


@pytest.mark.parametrize(
    ("chosen", "statuses", "expected"),
    [
        ("auto", {"ai-toolkit": ABSENT, "builtin": READY}, set()),
        ("auto", {"ai-toolkit": ABSENT, "builtin": ABSENT}, {"trainer:ai-toolkit", "trainer:builtin"}),
        ("ai-toolkit", {"ai-toolkit": ABSENT, "builtin": READY}, {"trainer:ai-toolkit"}),
        ("builtin", {"ai-toolkit": ABSENT, "builtin": READY}, set()),
    ],
)
async def test_a_trainer_is_a_fault_only_where_it_is_missed(
    telemetry: FakeTelemetry,
    workspace: Workspace,
    chosen: str,
    statuses: Mapping[str, TrainerStatus],
    expected: set[str],
) -> None:
    result = await ask(telemetry, workspace, statuses=statuses, trainer=chosen)
    assert set(failing(result)) == expected
    assert [trainer.name for trainer in result.trainers if not trainer.available] == [
        name for name, status in statuses.items() if not status.available
    ]


async def test_events_that_wait_are_counted_and_a_way_that_is_barred_is_told(
    telemetry: FakeTelemetry, workspace: Workspace
) -> None:
    courier = FakeCourier(
        SinkState(name="callback"),
        SinkState(name="rabbitmq", undelivered=3, error="the broker cannot be reached"),
    )
    result = await ask(telemetry, workspace, courier=courier)
    checks = {check.name: (check.ok, check.detail) for check in result.checks}
    assert checks["events:callback"] == (True, "0 events wait.")
    assert checks["events:rabbitmq"] == (False, "3 events wait: the broker cannot be reached.")
    assert result.status == "degraded"


async def test_an_outbox_that_cannot_be_read_is_told(telemetry: FakeTelemetry, workspace: Workspace) -> None:
    result = await ask(telemetry, workspace, courier=FakeCourier(failure=OSError(5, "Input/output error")))
    assert [check.detail for check in result.checks if check.name == "events"] == [
        "The outbox cannot be read: Input/output error."
    ]
