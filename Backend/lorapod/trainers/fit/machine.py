"""The machine that a training is judged by."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lorapod.errors import GpuUnavailable, InsufficientMemory
from lorapod.telemetry import Telemetry
from lorapod.trainers.fit.check import WayOut, check_cpu_time, check_gpu_memory

#: The trainer that can hold weights in fewer bits and outside the GPU.
_QUANTISES: Final = "ai-toolkit"


@dataclass(frozen=True, kw_only=True)
class MachineFit:
    """Whether trainings fit this worker's machine."""

    telemetry: Telemetry

    def check(
        self, trainer: str, config: Mapping[str, Any], *, tiers: Sequence[WayOut], force: bool
    ) -> list[str]:
        """Refuse a config that does not fit the smallest GPU, or that takes days without one; return warnings.

        Args:
            trainer: the trainer's name.
            config: the config as the trainer gets it, in AI Toolkit's form.
            tiers: the preset's tiers with the request's knobs.
            force: warn instead of refusing.

        Raises:
            InsufficientMemory: it names what would fit.
            GpuUnavailable: it says how long it would take.
        """
        process = _process(config)
        if process is None:
            return []
        memory_bytes = self.telemetry.gpu_memory_bytes()
        try:
            if memory_bytes is not None:
                check_gpu_memory(process, memory_bytes, tiers=tiers, can_quantise=trainer == _QUANTISES)
            elif not self.telemetry.gpu_indices():
                check_cpu_time(process, len(os.sched_getaffinity(0)))
        except (InsufficientMemory, GpuUnavailable) as error:
            if not force:
                raise
            return [error.message]
        return []


def _process(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    match config:
        case {"config": {"process": [{"model": {}} as process, *_]}}:
            return {**process, "train": process.get("train") or {}}
    return None
