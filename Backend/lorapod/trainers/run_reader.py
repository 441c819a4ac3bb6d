"""Reads the progress of a run from its output and its control table, which both trainers write in the same form."""

from __future__ import annotations

import re

from lorapod.records.progress import Observation
from lorapod.records.status import Phase
from lorapod.trainers.control_table import ControlTable, phase_of
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.progress_line import parse_progress

#: The phases that lines of output announce, by how the line begins.
_MILESTONES = (
    ("# Running job:", Phase.STARTING),
    ("Dataset: ", Phase.PREPARING_DATASET),
    ("Caching latents for ", Phase.PREPARING_DATASET),
    ("Generating baseline samples", Phase.SAMPLING),
    ("Generating first sample", Phase.SAMPLING),
    ("Sampling at step ", Phase.SAMPLING),
    ("Saving at step ", Phase.SAVING),
)
_RESUMED = re.compile(r"Found step (?P<step>[0-9]{1,12}) in metadata")

#: Any progress bar of tqdm.
_BAR = re.compile(r"(?:^|: +)\s{0,3}[0-9]{1,3}%\|[^|]*\| ")


class RunReader:
    """A reader of one run's progress."""

    def __init__(self, plan: TrainingPlan) -> None:
        """Follow a run that is about to start."""
        self._name = plan.name
        self._table = ControlTable(plan.control_path, plan.process_id)
        #: The row at the last poll.
        self._shown: tuple[object, ...] | None = None
        self._step = 0
        #: Whether the run writes the control table. If so, only the table gives the phase: a progress bar's last repaint
        #: is read only when the next one comes, long after the trainer has begun to save or sample.
        self._controlled = False

    def line(self, text: str) -> Observation | None:
        """Return what one line of output shows: the progress bar steps, loss and speed, a milestone the phase."""
        progress = parse_progress(text, self._name)
        if progress is not None:
            self._step = max(self._step, progress.step)
            return Observation(
                phase=None if self._controlled or progress.loss is None else Phase.TRAINING,
                step=progress.step,
                total_steps=progress.total_steps,
                loss=progress.loss,
                learning_rate=progress.learning_rate,
                steps_per_s=progress.steps_per_s,
                eta_s=progress.eta_s,
                repaint=True,
            )
        if _BAR.search(text):
            return Observation(repaint=True)
        resumed = _RESUMED.match(text)
        if resumed is not None:
            return Observation(resumed_from_step=int(resumed["step"]))
        return None if self._controlled else _milestone(text)

    def poll(self) -> Observation | None:
        """Return what changed in the control table since the last poll: phase, step and speed."""
        row = self._table.read()
        if row is None or row.status == "queued":
            return None
        # The row's step is 0 until the first step of a resumed run, and after a stop it is the step of the last save.
        step = row.step if row.step > self._step else None
        self._step = max(self._step, row.step)
        if row.status != "running":
            return None if step is None else Observation(step=step)
        self._controlled = True
        shown = (row.info, row.step, row.steps_per_s)
        if shown == self._shown:
            return None
        self._shown = shown
        return Observation(phase=phase_of(row.info), step=step, steps_per_s=row.steps_per_s)


def _milestone(text: str) -> Observation | None:
    for beginning, phase in _MILESTONES:
        if text.startswith(beginning):
            return Observation(phase=phase)
    return None
