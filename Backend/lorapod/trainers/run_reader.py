"""Follows a run by its output and its control table; AI Toolkit and the builtin trainer show both in the same form."""

from __future__ import annotations

import re

from lorapod.processes.progress import Observation
from lorapod.processes.status import Phase
from lorapod.trainers.control_table import ControlTable, phase_of
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.progress_line import parse_progress

#: What is printed on the way, by the beginning of the line.
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

#: Any progress bar of tqdm's.
_BAR = re.compile(r"(?:^|: +)\s{0,3}[0-9]{1,3}%\|[^|]*\| ")


class RunReader:
    """Follows one run by its output and its control table."""

    def __init__(self, plan: TrainingPlan) -> None:
        """Begin to follow a run that is about to start."""
        self._name = plan.name
        self._table = ControlTable(plan.control_path, plan.process_id)
        #: What the table said at the last look.
        self._shown: tuple[object, ...] | None = None
        self._step = 0
        #: Whether the run fills the control table, which then alone tells the phase: a progress bar's last repaint
        #: is read only when the next one comes, long after the trainer has begun to save or sample.
        self._controlled = False

    def line(self, text: str) -> Observation | None:
        """What one line of output tells; the progress bar for steps, loss and speed, milestones for the phase."""
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
        """What changed in the control table since the last look: phase, step and speed."""
        row = self._table.read()
        if row is None or row.status == "queued":
            return None
        # Before the first step of a run that goes on, the row's 0 means nothing; after a stop it is the last save.
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
