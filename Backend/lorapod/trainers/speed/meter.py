"""Measures one run of a training from what is observed of it."""

from __future__ import annotations

import math
import statistics
from collections import deque
from typing import Final

from lorapod.records.progress import Observation
from lorapod.trainers.speed.measurement import Measurement
from lorapod.trainers.speed.workload import Workload

#: Fewer steps say too little: the first ones are slower than all others.
MIN_STEPS: Final = 5

#: Newest speeds that count.
_KEPT: Final = 200


class SpeedMeter:
    """Measures the speed of one run; for the supervisor's thread.

    The speed is the median of those that the trainer reports, whose clock stands still while it samples and saves. The
    seconds that are left of the time since the first step are those of samples and checkpoints.
    """

    def __init__(self, *, device: str, workload: Workload, first_step: int) -> None:
        """Measure a run that begins at `first_step`."""
        self._device = device
        self._workload = workload
        self._first_step = first_step
        self._start_s: float | None = None
        self._begun_at_step = first_step
        self._step = first_step
        self._now_s = 0.0
        self._speeds: deque[float] = deque(maxlen=_KEPT)

    def observe(self, seen: Observation, step: int, now_s: float) -> None:
        """Take in an observation.

        Args:
            seen: what was observed.
            step: steps that are done.
            now_s: seconds since the trainer's start.
        """
        self._now_s = now_s
        if step <= self._step:
            return
        self._step = step
        if self._start_s is None:
            self._start_s, self._begun_at_step = now_s, step
        speed = seen.steps_per_s
        if speed is not None and math.isfinite(speed) and speed > 0:
            self._speeds.append(speed)

    def passed(self, now_s: float) -> None:
        """Take in that the trainer has run for `now_s` seconds."""
        self._now_s = now_s

    def measured(self) -> Measurement | None:
        """Return what was measured; None if that is too little."""
        steps = self._step - self._first_step
        if self._start_s is None or not self._speeds or steps < MIN_STEPS:
            return None
        speed = statistics.median(self._speeds)
        # What was done before the first look belongs to the steps, not to the start.
        early_s = (self._begun_at_step - self._first_step) / speed
        start_s = max(0.0, self._start_s - early_s)
        other_s = max(0.0, self._now_s - start_s - steps / speed)
        return Measurement(
            device=self._device,
            workload=self._workload,
            steps=steps,
            steps_per_s=speed,
            start_s=round(start_s, 2),
            other_s_per_step=other_s / steps,
        )
