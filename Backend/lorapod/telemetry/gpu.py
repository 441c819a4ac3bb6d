"""GPUs, by NVIDIA's management library (NVML): it reads counters and never opens a CUDA context."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: How long a call waits for another one that the driver has not answered: a broken GPU can block its caller for ever.
DRIVER_WAIT_S: Final = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU; None where the driver does not tell."""

    #: Number in PCI order, which is CUDA's where `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    index: int
    uuid: str
    name: str
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    utilization_percent: int | None = None
    temperature_c: int | None = None


@dataclass(frozen=True, kw_only=True)
class GpuReport:
    """The GPUs that answer, and why others do not."""

    gpus: tuple[Gpu, ...] = ()
    #: One sentence where there is no driver, or where a GPU does not answer; empty when all is well.
    problem: str = ""
    #: Whether NVIDIA's library is here at all.
    driver: bool = True
    #: Whether the driver or a GPU does not work; a machine without either is not broken.
    broken: bool = False


def _nvml() -> Any:
    import pynvml

    return pynvml


class GpuProbe:
    """Asks NVML; safe to be used by many threads."""

    def __init__(self, *, library: Callable[[], Any] = _nvml, driver_wait_s: float = DRIVER_WAIT_S) -> None:
        """Nothing is loaded before the first `report`.

        Args:
            library: answers the `pynvml` module; a test passes its own.
            driver_wait_s: see `DRIVER_WAIT_S`.
        """
        self._library = library
        self._driver_wait_s = driver_wait_s
        self._lock = threading.Lock()
        self._ready = False
        self._absent: GpuReport | None = None

    def report(self) -> GpuReport:
        """Every GPU of the machine, as NVML tells now; blocks for as long as the driver does."""
        if self._absent is not None:
            return self._absent
        if not self._lock.acquire(timeout=self._driver_wait_s):
            return GpuReport(problem="The NVIDIA driver does not answer.", broken=True)
        try:
            return self._report(self._library())
        finally:
            self._lock.release()

    def _report(self, nvml: Any) -> GpuReport:
        try:
            if not self._ready:
                nvml.nvmlInit()
                self._ready = True
            count = int(nvml.nvmlDeviceGetCount())
        except nvml.NVMLError_LibraryNotFound:
            self._absent = GpuReport(problem="No NVIDIA driver on this machine.", driver=False)
            return self._absent
        except nvml.NVMLError as error:
            self._ready = False
            return GpuReport(problem=f"The NVIDIA driver does not work: {error}.", broken=True)
        gpus, broken = [], []
        for index in range(count):
            try:
                gpus.append(_gpu(nvml, index))
            except nvml.NVMLError as error:
                broken.append(f"GPU {index}: {error}")
        if broken:
            # The next report starts afresh: a lost GPU stays lost for a library that was initialised before.
            self._ready = False
            _log.warning("A GPU does not answer", extra={"broken_gpus": broken})
        problem = f"A GPU does not answer: {'; '.join(broken)}." if broken else ""
        if not count:
            problem = "The NVIDIA driver shows no GPU."
        return GpuReport(gpus=tuple(gpus), problem=problem, broken=bool(broken))


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def told(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except nvml.NVMLError_NotSupported:
            return None

    memory = told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    utilization = told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    return Gpu(
        index=index,
        uuid=nvml.nvmlDeviceGetUUID(handle),
        name=nvml.nvmlDeviceGetName(handle),
        memory_total_bytes=int(memory.total) if memory is not None else None,
        memory_used_bytes=int(memory.used) if memory is not None else None,
        utilization_percent=int(utilization.gpu) if utilization is not None else None,
        temperature_c=told(lambda: int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
    )


def visible(gpus: Sequence[Gpu], cuda_visible_devices: str | None) -> tuple[Gpu, ...]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves, in its order; None: all of them.

    As in CUDA: entries are numbers or the beginning of a UUID, and the list ends at the first entry that names no
    GPU (so `-1`, or an empty text, hides them all). Source: CUDA C++ Programming Guide, environment variables.
    A slice of a GPU (`MIG-…`) stands for no whole GPU and ends the list as well.
    """
    if cuda_visible_devices is None:
        return tuple(gpus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in cuda_visible_devices.split(",")):
        matches = [
            gpu
            for gpu in gpus
            if entry == str(gpu.index) or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))
        ]
        if len(matches) != 1 or matches[0] in chosen:
            break
        chosen.append(matches[0])
    return tuple(chosen)
