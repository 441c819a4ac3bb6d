"""What this container has and uses: memory from cgroups, disk from the file system, GPUs from NVML."""

from lorapod.telemetry.disk import Disk, disk_of
from lorapod.telemetry.gpu import Gpu, GpuReport
from lorapod.telemetry.headroom import Headroom
from lorapod.telemetry.memory import Memory
from lorapod.telemetry.telemetry import Telemetry

__all__ = ["Disk", "Gpu", "GpuReport", "Headroom", "Memory", "Telemetry", "disk_of"]
