"""GPUs, by NVIDIA's management library (NVML): it reads counters and never opens a CUDA context."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lorapod.telemetry.probe import Probe

#: Seconds that a caller waits for the driver's answer: a GPU that hangs blocks a call to its driver for ever.
DRIVER_WAIT_S: Final = 3.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU; a figure is None if the driver does not know it."""

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
    #: One sentence if there is no driver or a GPU does not answer; empty if all is well.
    problem: str = ""
    #: Whether NVIDIA's library is installed at all.
    driver: bool = True
    #: Whether the driver or a GPU does not work; a machine without either is not broken.
    broken: bool = False
    #: Age of the figures in seconds, if the driver does not answer now; None if they are new.
    age_s: float | None = None


def _nvml() -> Any:
    import pynvml

    return pynvml


class GpuProbe:
    """Asks NVML, in one thread of its own; safe to be used by many threads."""

    def __init__(self, *, library: Callable[[], Any] = _nvml, driver_wait_s: float = DRIVER_WAIT_S) -> None:
        """Load nothing before the first `report`.

        Args:
            library: returns the `pynvml` module; a test passes its own.
            driver_wait_s: see `DRIVER_WAIT_S`.
        """
        self._library = library
        self._driver_wait_s = driver_wait_s
        self._probe = Probe("gpu", self._read)
        self._ready = False
        self._absent: GpuReport | None = None

    def report(self, *, wait_s: float | None = None) -> GpuReport:
        """Return every GPU of the machine; if the driver hangs, its last report with the report's age.

        `wait_s` is how long the driver may take; `driver_wait_s` if left out.
        """
        if self._absent is not None:
            return self._absent
        wait_s = self._driver_wait_s if wait_s is None else wait_s
        reading = self._probe.ask(wait_s)
        if reading.answered and reading.value is not None:
            return reading.value
        if reading.value is None:
            return GpuReport(problem=f"The NVIDIA driver has not answered for {wait_s:.0f} s.", broken=True)
        return replace(
            reading.value,
            problem=f"The NVIDIA driver does not answer; its last figures are {reading.age_s:.0f} s old.",
            broken=True,
            age_s=reading.age_s,
        )

    def _read(self) -> GpuReport:
        nvml = self._library()
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
            # The next report initialises again: a lost GPU stays lost for a library that was initialised before.
            self._ready = False
            _log.warning("A GPU does not answer", extra={"broken_gpus": broken})
        problem = f"A GPU does not answer: {'; '.join(broken)}." if broken else ""
        if not count:
            problem = "The NVIDIA driver shows no GPU."
        return GpuReport(gpus=tuple(gpus), problem=problem, broken=bool(broken))


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def known(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except nvml.NVMLError_NotSupported:
            return None

    memory = known(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    utilization = known(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    return Gpu(
        index=index,
        uuid=nvml.nvmlDeviceGetUUID(handle),
        name=nvml.nvmlDeviceGetName(handle),
        memory_total_bytes=int(memory.total) if memory is not None else None,
        memory_used_bytes=int(memory.used) if memory is not None else None,
        utilization_percent=int(utilization.gpu) if utilization is not None else None,
        temperature_c=known(lambda: int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
    )


def visible(gpus: Sequence[Gpu], cuda_visible_devices: str | None) -> tuple[Gpu, ...]:
    """Return the GPUs that `CUDA_VISIBLE_DEVICES` leaves, in its order; None leaves all of them.

    As in CUDA: entries are numbers or the beginning of a UUID, and the list ends at the first entry that names no
    GPU (so `-1`, or an empty text, hides them all). Source: CUDA C++ Programming Guide, environment variables.
    A slice of a GPU (`MIG-…`) is no whole GPU and ends the list as well.
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
