"""The speed that is expected of a training on this worker's GPU: from measurements, else by rule of thumb."""

from __future__ import annotations

import logging
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from lorapod.records.forecast import Basis, Forecast
from lorapod.telemetry import Telemetry
from lorapod.trainers.fit import memory_need
from lorapod.trainers.speed.book import SpeedBook
from lorapod.trainers.speed.measurement import Measurement
from lorapod.trainers.speed.meter import SpeedMeter
from lorapod.trainers.speed.recorder import SpeedRecorder
from lorapod.trainers.speed.rule_of_thumb import usual_speed
from lorapod.trainers.speed.workload import Workload, process_of, workload_of

_log = logging.getLogger(__name__)

#: Newest measurements whose median counts.
LAST: Final = 5


@dataclass(frozen=True, kw_only=True)
class Forecasts:
    """What expects the speed of trainings, and keeps what they measure."""

    telemetry: Telemetry
    book: SpeedBook

    def device(self, gpu_name: str | None = None) -> str:
        """Return the name of what a training runs on: that GPU, or the worker's first one, or its processor."""
        return self._gpu(gpu_name) or processor_name()

    def _gpu(self, gpu_name: str | None) -> str | None:
        if gpu_name is not None:
            return gpu_name
        return next((gpu.name for gpu in self.telemetry.gpu_report().gpus), None)

    def forecast(self, trainer: str, config: Mapping[str, Any], *, gpu_name: str | None = None) -> Forecast:
        """Return what is expected of a config, in AI Toolkit's form, on a GPU; it never raises."""
        try:
            return replace(self._forecast(trainer, config, gpu_name), gpu=self._gpu(gpu_name))
        except (OSError, ArithmeticError) as error:
            _log.warning("the speed of a training cannot be estimated", extra={"reason": str(error)})
            return Forecast(explanation="The base model's files could not be read to estimate it.")

    def _forecast(self, trainer: str, config: Mapping[str, Any], gpu_name: str | None) -> Forecast:
        process, workload = process_of(config), workload_of(trainer, config)
        if process is None or workload is None:
            return Forecast(explanation="The config names no model, or no batch size, by which to estimate.")
        device = self.device(gpu_name)
        need = memory_need(process)
        memory_bytes = None if need is None else need.total
        found = self.book.measured(device, workload)
        if (measured := of_measurements(workload, found, device, memory_bytes)) is not None:
            return measured
        speed = usual_speed(process, device, _cores())
        if speed is None:
            return Forecast(
                gpu_memory_bytes=memory_bytes,
                explanation=f"No training of {workload.arch} was measured on {device} yet.",
            )
        return Forecast(
            steps_per_s=speed,
            basis=Basis.RULE_OF_THUMB,
            gpu_memory_bytes=memory_bytes,
            explanation=f"From the number of operations of a step and the speed of {device}; it may be wrong by a factor "
            "of three. Loading, samples and checkpoints are not in it.",
        )

    def recorder(
        self,
        process_id: str,
        trainer: str,
        config: Mapping[str, Any],
        *,
        gpu_name: str | None,
        first_step: int,
    ) -> SpeedRecorder | None:
        """Return what measures a run that goes on from `first_step`; None if its config does not say what it trains."""
        workload = workload_of(trainer, config)
        if workload is None:
            return None
        meter = SpeedMeter(device=self.device(gpu_name), workload=workload, first_step=first_step)
        return SpeedRecorder(process_id, meter, self.book)


def of_measurements(
    workload: Workload, found: Sequence[Measurement], device: str, gpu_memory_bytes: int | None = None
) -> Forecast | None:
    """Return the median of what equal workloads measured, else of the most similar one, scaled; None without any.

    Args:
        workload: what is to be trained.
        found: measurements of the same model, trainer and device, the newest first.
        device: its name, for people.
        gpu_memory_bytes: for the forecast.
    """
    if not found:
        return None
    basis, like = Basis.HERE, workload
    if not any(one.workload == workload for one in found):
        basis = Basis.GPU
        like = min((one.workload for one in found), key=lambda each: _unlike(each, workload))
    last = [one for one in found if one.workload == like][:LAST]
    speed = statistics.median(one.steps_per_s for one in last) * like.pixels / workload.pixels
    settings = "these settings" if basis is Basis.HERE else "other settings, scaled by pixels and batch size"
    return Forecast(
        steps_per_s=speed,
        basis=basis,
        start_s=statistics.median(one.start_s for one in last),
        other_s_per_step=statistics.median(one.other_s_per_step for one in last),
        gpu_memory_bytes=gpu_memory_bytes,
        explanation=f"Median of {len(last)} training{'s' if len(last) > 1 else ''} of {workload.arch} on {device} with "
        f"{settings}.",
    )


def _unlike(one: Workload, other: Workload) -> tuple[bool, float]:
    """Return how much two workloads differ: first in method, then in pixels."""
    return not one.same_method(other), abs(math.log(one.pixels / other.pixels))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def processor_name() -> str:
    """Return the processor's model and how many of its cores this worker may use."""
    cores = _cores()
    return f"{_processor_model()} ({cores} core{'s' if cores > 1 else ''})"


@cache
def _processor_model(cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = cpu_info.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    fields = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in fields if key.strip() == "model name"), "processor")
