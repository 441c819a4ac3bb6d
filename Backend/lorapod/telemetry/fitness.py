"""Whether a machine is fit to take jobs at all, asked once when its worker starts."""

from __future__ import annotations

from lorapod.errors import GpuUnavailable
from lorapod.telemetry.telemetry import DRIVER_ANSWER_S, Telemetry


def check_fitness(telemetry: Telemetry, *, patience_s: float = DRIVER_ANSWER_S) -> None:
    """Refuse a machine with a broken GPU: each job would fail there.

    Raises:
        GpuUnavailable: the driver or a GPU does not work. A machine without a GPU is fit.
    """
    report = telemetry.gpu_report(wait_s=patience_s)
    if report.broken:
        raise GpuUnavailable(f"{report.problem.rstrip('.')}, so this worker takes no jobs.")
