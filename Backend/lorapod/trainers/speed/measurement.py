"""What one training measured."""

from __future__ import annotations

from dataclasses import dataclass

from lorapod.trainers.speed.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The speed of one training on one device."""

    #: Name of the GPU, or of the processor with its number of cores.
    device: str
    workload: Workload
    #: Steps that it was measured over.
    steps: int
    #: Without the times below.
    steps_per_s: float
    #: Seconds from the trainer's start to its first step: loading, caching, first samples.
    start_s: float
    #: Seconds that samples and checkpoints took, divided by the steps.
    other_s_per_step: float
