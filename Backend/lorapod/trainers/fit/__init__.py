"""Whether a training fits the machine: GPU memory, and time on a machine without a GPU. Rules of thumb, not measurements."""

from lorapod.trainers.fit.check import WayOut, check_cpu_time, check_gpu_memory, savings_of
from lorapod.trainers.fit.duration import cpu_duration_s
from lorapod.trainers.fit.machine import MachineFit
from lorapod.trainers.fit.memory import MemoryNeed, memory_need
from lorapod.trainers.fit.sizes import ModelSize, size_of

__all__ = [
    "MachineFit",
    "MemoryNeed",
    "ModelSize",
    "WayOut",
    "check_cpu_time",
    "check_gpu_memory",
    "cpu_duration_s",
    "memory_need",
    "savings_of",
    "size_of",
]
