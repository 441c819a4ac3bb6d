"""Whether a training fits the machine: GPU memory, and time on a machine without a GPU. Rules of thumb, not measurements."""

from lorapod.trainers.fit.memory import MemoryNeed, memory_need
from lorapod.trainers.fit.sizes import ModelSize, size_of

__all__ = ["MemoryNeed", "ModelSize", "memory_need", "size_of"]
