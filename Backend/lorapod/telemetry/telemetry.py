"""The machine's memory, disk and GPUs, as the worker sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from lorapod.telemetry.disk import Disk, disk_of
from lorapod.telemetry.gpu import Gpu, GpuProbe, GpuReport, visible
from lorapod.telemetry.memory import Memory, memory_of

#: Seconds after which a driver counts as hung; its first answer after a boot takes a few seconds.
DRIVER_ANSWER_S: Final = 20.0


class Telemetry:
    """Reads counters on demand; every method may block on the kernel, and on the GPU driver for a bounded time."""

    def __init__(
        self,
        *,
        cuda_visible_devices: str | None = None,
        cgroup_root: Path = Path("/sys/fs/cgroup"),
        proc_root: Path = Path("/proc"),
        gpu_probe: GpuProbe | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            cuda_visible_devices: the GPUs that this worker may use, as in CUDA; None for all of them.
            cgroup_root: where control groups are mounted.
            proc_root: where `/proc` is mounted.
            gpu_probe: asks the GPU driver; NVML's if left out.
        """
        self._cuda_visible_devices = cuda_visible_devices
        self._cgroup_root = cgroup_root
        self._proc_root = proc_root
        self._gpu_probe = gpu_probe or GpuProbe()

    def memory(self) -> Memory:
        """Return the memory that this container may use."""
        return memory_of(cgroup_root=self._cgroup_root, proc_root=self._proc_root)

    def disk(self, path: Path) -> Disk:
        """Return the figures of the file system that holds `path`.

        Raises:
            OSError: it cannot be read.
        """
        return disk_of(path)

    def gpu_report(self, *, wait_s: float | None = None) -> GpuReport:
        """Return the GPUs that this worker may use, and what is wrong with the driver or a GPU.

        If the driver does not answer within `wait_s` (3 s if left out), the last report is returned, with its age.
        """
        report = self._gpu_probe.report(wait_s=wait_s)
        gpus = visible(report.gpus, self._cuda_visible_devices)
        problem = report.problem
        if report.gpus and not gpus and not problem:
            problem = f"CUDA_VISIBLE_DEVICES={self._cuda_visible_devices!r} hides every GPU."
        return replace(report, gpus=gpus, problem=problem)

    def gpus(self, *, wait_s: float = DRIVER_ANSWER_S) -> tuple[Gpu, ...]:
        """Return the GPUs that this worker may use and that answer now; empty on a machine without one.

        A driver that does not answer within `wait_s` counts as no GPU: a process that starts on a GPU of it would hang.
        """
        report = self.gpu_report(wait_s=wait_s)
        return report.gpus if report.age_s is None else ()

    def gpu_name(self, index: int) -> str | None:
        """Return the name of the GPU with an index; None without such a GPU, or if its driver does not answer now."""
        return next((gpu.name for gpu in self.gpus() if gpu.index == index), None)

    def gpu_memory_bytes(self) -> int | None:
        """Return the memory of the smallest GPU that this worker may use; None without a GPU that tells it.

        A driver that does not answer now is not waited for longer than 3 s: a GPU's size does not change.
        """
        gpus = self.gpu_report().gpus
        sizes = [gpu.memory_total_bytes for gpu in gpus if gpu.memory_total_bytes is not None]
        return min(sizes, default=None)

    def free_gpu_memory(self, index: int) -> int | None:
        """Return the free bytes of one GPU's memory; None if the driver does not answer."""
        for gpu in self.gpus():
            if (
                gpu.index == index
                and gpu.memory_total_bytes is not None
                and gpu.memory_used_bytes is not None
            ):
                return gpu.memory_total_bytes - gpu.memory_used_bytes
        return None

    def gpu_indices(self) -> tuple[int, ...]:
        """Return the numbers of the GPUs that this worker may use, counted in PCI order."""
        return tuple(gpu.index for gpu in self.gpus())
