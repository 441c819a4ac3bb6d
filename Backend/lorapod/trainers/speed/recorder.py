"""Measures one run of a training, and keeps what it measures for later trainings."""

from __future__ import annotations

from typing import Final

from lorapod.records.forecast import Basis, Forecast
from lorapod.records.progress import Observation
from lorapod.trainers.speed.book import SpeedBook
from lorapod.trainers.speed.meter import SpeedMeter

#: Seconds between two writes, so that a killed worker leaves something.
EVERY_S: Final = 300.0


class SpeedRecorder:
    """The measured speed of one run; for the supervisor's thread."""

    def __init__(self, process_id: str, meter: SpeedMeter, book: SpeedBook) -> None:
        """Write nothing yet."""
        self._process_id = process_id
        self._meter = meter
        self._book = book
        self._kept_s = 0.0

    def observe(self, seen: Observation, step: int, now_s: float) -> None:
        """Take in what was observed, `now_s` seconds after the trainer's start, with `step` steps done."""
        self._meter.observe(seen, step, now_s)
        if now_s - self._kept_s >= EVERY_S:
            self._keep(now_s)

    def end(self, now_s: float) -> None:
        """Keep what was measured until the trainer's exit."""
        self._meter.passed(now_s)
        self._keep(now_s)

    def forecast(self, before: Forecast | None) -> Forecast | None:
        """Return what its own steps say, or `before` as long as they say nothing."""
        measured = self._meter.measured()
        if measured is None:
            return before
        return Forecast(
            steps_per_s=measured.steps_per_s,
            basis=Basis.HERE,
            start_s=measured.start_s,
            other_s_per_step=measured.other_s_per_step,
            gpu_memory_bytes=None if before is None else before.gpu_memory_bytes,
            gpu=None if before is None else before.gpu,
            explanation=f"From {measured.steps} of its own steps on {measured.device}.",
        )

    def _keep(self, now_s: float) -> None:
        if (measured := self._meter.measured()) is not None:
            self._book.keep(self._process_id, measured)
            self._kept_s = now_s
