"""Whether a machine is fit to take jobs at all; asked once, when its worker starts."""

from __future__ import annotations

import queue
import threading
from typing import Final

from lorapod.errors import GpuUnavailable
from lorapod.telemetry.gpu import GpuReport
from lorapod.telemetry.telemetry import Telemetry

#: A driver that has not answered by then never will; the first answer after a boot takes a few seconds.
DRIVER_ANSWER_S: Final = 20.0


def first_report(telemetry: Telemetry, *, patience_s: float = DRIVER_ANSWER_S) -> GpuReport:
    """The GPUs, or that the driver does not answer: its library blocks a caller for ever when a GPU hangs."""
    answers: queue.SimpleQueue[GpuReport] = queue.SimpleQueue()
    threading.Thread(
        target=lambda: answers.put(telemetry.gpu_report()), name="gpu-report", daemon=True
    ).start()
    try:
        return answers.get(timeout=patience_s)
    except queue.Empty:
        return GpuReport(problem=f"The NVIDIA driver has not answered for {patience_s:.0f} s.", broken=True)


def check_fitness(telemetry: Telemetry, *, patience_s: float = DRIVER_ANSWER_S) -> None:
    """Refuse a machine with a broken GPU: there each job would fail, one after the other.

    Raises:
        GpuUnavailable: the driver or a GPU does not work. A machine without a GPU is fit.
    """
    report = first_report(telemetry, patience_s=patience_s)
    if report.broken:
        raise GpuUnavailable(f"{report.problem.rstrip('.')}, so this worker takes no jobs.")
