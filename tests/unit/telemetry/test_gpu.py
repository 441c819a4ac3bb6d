import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from lorapod.settings import Settings
from lorapod.telemetry import Gpu, GpuReport, Telemetry
from lorapod.telemetry.gpu import GpuProbe, visible


class FakeNvml:
    """Two GPUs behind pynvml's names; a failure is raised by the function of that name."""

    NVMLError = pynvml.NVMLError
    NVMLError_LibraryNotFound = pynvml.NVMLError_LibraryNotFound
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self, *, count: int = 2) -> None:
        self.count = count
        self.calls: list[str] = []
        self.failures: dict[str, Callable[[tuple[Any, ...]], None]] = {}

    def fail(self, function: str, error: int, *, on: int | None = None) -> None:
        def raise_it(arguments: tuple[Any, ...]) -> None:
            if on is None or arguments[0] == on:
                raise pynvml.NVMLError(error)

        self.failures[function] = raise_it

    def _call(self, name: str, *arguments: Any) -> None:
        self.calls.append(name)
        if (failure := self.failures.get(name)) is not None:
            failure(arguments)

    def nvmlInit(self) -> None:  # noqa: N802 - pynvml's names
        self._call("nvmlInit")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._call("nvmlDeviceGetCount")
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self._call("nvmlDeviceGetHandleByIndex", index)
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}aaaa-bbbb"

    def nvmlDeviceGetName(self, _handle: int) -> str:  # noqa: N802
        return "NVIDIA A40"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        self._call("nvmlDeviceGetMemoryInfo", handle)
        return SimpleNamespace(total=48_000_000_000, used=1_000_000_000 * handle, free=0)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        self._call("nvmlDeviceGetUtilizationRates", handle)
        return SimpleNamespace(gpu=37, memory=12)

    def nvmlDeviceGetTemperature(self, handle: int, _sensor: int) -> int:  # noqa: N802
        self._call("nvmlDeviceGetTemperature", handle)
        return 41


def probe(nvml: FakeNvml) -> GpuProbe:
    return GpuProbe(library=lambda: nvml)


def test_gpus_are_told_with_their_counters() -> None:
    report = probe(FakeNvml()).report()
    assert report.problem == ""
    assert [gpu.index for gpu in report.gpus] == [0, 1]
    assert report.gpus[1] == Gpu(
        index=1,
        uuid="GPU-1aaaa-bbbb",
        name="NVIDIA A40",
        memory_total_bytes=48_000_000_000,
        memory_used_bytes=1_000_000_000,
        utilization_percent=37,
        temperature_c=41,
    )


def test_the_smallest_gpu_decides_what_fits() -> None:
    class Mixed(FakeNvml):
        def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
            return SimpleNamespace(total=(80 - 32 * handle) * 10**9, used=0, free=0)

    assert Telemetry(gpu_probe=probe(Mixed())).gpu_memory_bytes() == 48_000_000_000
    assert Telemetry(gpu_probe=probe(Mixed()), cuda_visible_devices="0").gpu_memory_bytes() == 80_000_000_000
    assert Telemetry(gpu_probe=probe(FakeNvml(count=0))).gpu_memory_bytes() is None


def test_a_gpu_is_named_by_its_index() -> None:
    telemetry = Telemetry(gpu_probe=probe(FakeNvml()), cuda_visible_devices="1")
    assert (telemetry.gpu_name(1), telemetry.gpu_name(0)) == ("NVIDIA A40", None)


def test_the_library_is_initialised_once() -> None:
    nvml = FakeNvml()
    gpu_probe = probe(nvml)
    gpu_probe.report()
    gpu_probe.report()
    assert nvml.calls.count("nvmlInit") == 1


def test_no_driver_is_said_and_not_looked_for_again() -> None:
    nvml = FakeNvml()
    nvml.fail("nvmlInit", pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    gpu_probe = probe(nvml)
    assert gpu_probe.report() == GpuReport(problem="No NVIDIA driver on this machine.", driver=False)
    gpu_probe.report()
    assert nvml.calls == ["nvmlInit"]


def test_a_driver_that_fails_is_asked_again_and_may_come_back() -> None:
    nvml = FakeNvml()
    nvml.fail("nvmlInit", pynvml.NVML_ERROR_UNKNOWN)
    gpu_probe = probe(nvml)
    report = gpu_probe.report()
    assert (report.gpus, report.driver) == ((), True)
    assert "does not work" in report.problem
    nvml.failures.clear()
    assert len(gpu_probe.report().gpus) == 2


def test_a_lost_gpu_is_named_and_the_other_stays() -> None:
    nvml = FakeNvml()
    nvml.fail("nvmlDeviceGetMemoryInfo", pynvml.NVML_ERROR_GPU_IS_LOST, on=0)
    gpu_probe = probe(nvml)
    report = gpu_probe.report()
    assert [gpu.index for gpu in report.gpus] == [1]
    assert "GPU 0" in report.problem
    gpu_probe.report()
    assert nvml.calls.count("nvmlInit") == 2


def test_a_counter_that_the_gpu_lacks_is_left_out() -> None:
    nvml = FakeNvml(count=1)
    nvml.fail("nvmlDeviceGetTemperature", pynvml.NVML_ERROR_NOT_SUPPORTED)
    nvml.fail("nvmlDeviceGetMemoryInfo", pynvml.NVML_ERROR_NOT_SUPPORTED)
    report = probe(nvml).report()
    assert report.problem == ""
    assert (report.gpus[0].temperature_c, report.gpus[0].memory_total_bytes) == (None, None)
    assert report.gpus[0].utilization_percent == 37


def test_a_driver_without_a_gpu_is_a_problem() -> None:
    assert probe(FakeNvml(count=0)).report().problem == "The NVIDIA driver shows no GPU."


def test_a_driver_that_hangs_does_not_hang_the_second_caller() -> None:
    nvml, inside, answer = FakeNvml(), threading.Event(), threading.Event()

    def hang(_arguments: tuple[Any, ...]) -> None:
        inside.set()
        answer.wait(30)

    nvml.failures["nvmlInit"] = hang
    gpu_probe = GpuProbe(library=lambda: nvml, driver_wait_s=0.01)
    first = threading.Thread(target=gpu_probe.report)
    first.start()
    try:
        assert inside.wait(10)
        assert gpu_probe.report().problem == "The NVIDIA driver has not answered for 0 s."
    finally:
        answer.set()
        first.join()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, [0, 1, 2]),
        ("0,1,2", [0, 1, 2]),
        ("2,0", [2, 0]),
        (" 1 ", [1]),
        ("GPU-1", [1]),
        ("GPU-2aaaa-bbbb,0", [2, 0]),
        ("GPU-", []),
        ("", []),
        ("-1", []),
        ("0,-1,1", [0]),
        ("0,7,1", [0]),
        ("0,0,1", [0]),
        ("MIG-0aaaa", []),
    ],
)
def test_visible_devices_as_in_cuda(setting: str | None, expected: list[int]) -> None:
    gpus = probe(FakeNvml(count=3)).report().gpus
    assert [gpu.index for gpu in visible(gpus, setting)] == expected


def test_telemetry_shows_the_worker_its_own_gpus() -> None:
    telemetry = Telemetry(cuda_visible_devices="1", gpu_probe=probe(FakeNvml()))
    assert telemetry.gpu_indices() == (1,)
    assert telemetry.gpu_report().problem == ""


def test_telemetry_says_that_the_setting_hides_every_gpu() -> None:
    telemetry = Telemetry(cuda_visible_devices="", gpu_probe=probe(FakeNvml()))
    assert telemetry.gpus() == ()
    assert telemetry.gpu_report().problem == "CUDA_VISIBLE_DEVICES='' hides every GPU."


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("", ""), ("0,1", "0,1")])
def test_the_setting_tells_empty_from_absent(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str | None
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if value is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert Settings().cuda_visible_devices == expected


def test_importing_telemetry_loads_no_gpu_library() -> None:
    code = "import sys, lorapod.telemetry; sys.exit('pynvml' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
