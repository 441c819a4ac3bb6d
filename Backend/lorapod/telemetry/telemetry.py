"""The worker's one place to ask what the machine has left."""

from __future__ import annotations

from pathlib import Path

from lorapod.telemetry.disk import Disk, disk_of
from lorapod.telemetry.gpu import Gpu, GpuProbe, GpuReport, visible
from lorapod.telemetry.memory import Memory, memory_of


class Telemetry:
    """Reads counters on demand and keeps none; every method may block on the kernel or the driver, briefly."""

    def __init__(
        self,
        *,
        cuda_visible_devices: str | None = None,
        cgroup_root: Path = Path("/sys/fs/cgroup"),
        proc_root: Path = Path("/proc"),
        gpu_probe: GpuProbe | None = None,
    ) -> None:
        """Nothing is read before it is asked for.

        Args:
            cuda_visible_devices: the GPUs that this worker may use, as in CUDA; None: all of them.
            cgroup_root: where control groups are mounted.
            proc_root: where `/proc` is mounted.
            gpu_probe: asks the GPU driver; NVML's where it is left out.
        """
        self._cuda_visible_devices = cuda_visible_devices
        self._cgroup_root = cgroup_root
        self._proc_root = proc_root
        self._gpu_probe = gpu_probe or GpuProbe()

    def memory(self) -> Memory:
        """The memory that this container may use."""
        return memory_of(cgroup_root=self._cgroup_root, proc_root=self._proc_root)

    def disk(self, path: Path) -> Disk:
        """The file system that holds `path`.

        Raises:
            OSError: it does not answer.
        """
        return disk_of(path)

    def gpu_report(self) -> GpuReport:
        """The GPUs that this worker may use, and what is wrong with the driver or a GPU."""
        report = self._gpu_probe.report()
        gpus = visible(report.gpus, self._cuda_visible_devices)
        problem = report.problem
        if report.gpus and not gpus and not problem:
            problem = f"CUDA_VISIBLE_DEVICES={self._cuda_visible_devices!r} hides every GPU."
        return GpuReport(gpus=gpus, problem=problem, driver=report.driver, broken=report.broken)

    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that this worker may use and that answer; empty on a machine without one."""
        return self.gpu_report().gpus

    def free_gpu_memory(self, index: int) -> int | None:
        """Free bytes of one GPU's memory; None where the driver does not tell."""
        for gpu in self.gpus():
            if (
                gpu.index == index
                and gpu.memory_total_bytes is not None
                and gpu.memory_used_bytes is not None
            ):
                return gpu.memory_total_bytes - gpu.memory_used_bytes
        return None

    def gpu_indices(self) -> tuple[int, ...]:
        """Numbers of the GPUs that this worker may use, in PCI order's counting."""
        return tuple(gpu.index for gpu in self.gpus())
