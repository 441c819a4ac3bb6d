"""The usual speed of a training that was never measured: operations of a step, divided by what the device does."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from lorapod.trainers.fit.duration import CORE_SPEED, multiply_adds

#: Operations per second in 16 bits with sums in 32 bits, without sparsity, in 10^12, by a part of the GPU's name; from
#: NVIDIA's data sheets and architecture papers. The first part that is in a name counts.
_TERAFLOPS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "B200": 2250,
        "H200": 989,
        "H100 PCIe": 756,
        "H100 NVL": 835,
        "H100": 989,
        "A100": 312,
        "L40S": 362,
        "L40": 181,
        "L4": 121,
        "RTX 6000 Ada": 364,
        "RTX 5090": 209,
        "RTX 4090": 165,
        "RTX 3090": 71,
        "RTX A6000": 155,
        "RTX A5000": 111,
        "RTX A4000": 77,
        "A40": 150,
        "A30": 165,
    }
)

#: Share of that speed that trainings of LoRAs reach.
_REACHED: Final = 0.4


def usual_speed(process: Mapping[str, Any], device: str, cores: int) -> float | None:
    """Return the steps per second of a config's process; None if its model's size or the GPU is not known here.

    Args:
        process: the config's process.
        device: name of the GPU, or of the processor.
        cores: cores of the processor, if that is the device.
    """
    operations = multiply_adds(process)
    if not operations:
        return None
    if (teraflops := teraflops_of(device)) is not None:
        # A multiply-add is two operations.
        return teraflops * 1e12 * _REACHED / (2 * operations)
    return CORE_SPEED * max(cores, 1) / operations if device.endswith(("core)", "cores)")) else None


def teraflops_of(device: str) -> float | None:
    """Return the speed of a GPU by its name; None if it is not known here, or a slice of a GPU."""
    if "MIG" in device:
        return None
    words = f" {device.replace('-', ' ')} "
    return next((speed for part, speed in _TERAFLOPS.items() if f" {part} " in words), None)
