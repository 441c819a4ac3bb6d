"""One run of the builtin trainer while it lasts: what it tells, and what it can be told."""

from __future__ import annotations

import re

from lorapod.trainers.control_table import ControlTable, phase_of
from lorapod.trainers.port import Observation, Phase, TrainingPlan
from lorapod.trainers.progress_line import parse_progress

#: What it prints on its way, by the beginning of the line.
_MILESTONES = (
    ("# Running job:", Phase.STARTING),
    ("Dataset: ", Phase.PREPARING_DATASET),
    ("Caching latents for ", Phase.PREPARING_DATASET),
    ("Generating baseline samples", Phase.SAMPLING),
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
        self._seen: Observation | None = None
        #: Whether the table has been heard of: it knows the phase better than lines that come in bursts.
        self._controlled = False

    def line(self, text: str) -> Observation | None:
        """What one line of output tells: the progress bar for steps, loss and speed, milestones for the phase."""
        progress = parse_progress(text, self._name)
        if progress is not None:
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
        if resumed := _RESUMED.match(text):
            return Observation(resumed_from_step=int(resumed["step"]))
        if self._controlled:
            return None
        found = next((phase for beginning, phase in _MILESTONES if text.startswith(beginning)), None)
        return Observation(phase=found) if found else None

    def poll(self) -> Observation | None:
        """What changed in the control table since the last look: phase, step and speed."""
        row = self._table.read()
        if row is None or row.status != "running":
            return None
        self._controlled = True
        # Before the first step of a run that goes on, the row's 0 means nothing.
        seen = Observation(phase=phase_of(row.info), step=row.step or None, steps_per_s=row.steps_per_s)
        if seen == self._seen:
            return None
        self._seen = seen
        return seen


class RunControl:
    """Asks one run for checkpoints and samples through its control table."""

    def __init__(self, plan: TrainingPlan) -> None:
        """Talk to a run that has been launched."""
        self._table = ControlTable(plan.control_path, plan.process_id)
        self._wished = False
        self._written_down = False

    def request_save(self) -> None:
        """Ask for a checkpoint at the end of the present step."""
        self._wished, self._written_down = True, self._table.request_save()

    def save_pending(self) -> bool:
        """Whether a requested checkpoint is not yet written; the trainer takes the wish back when it is."""
        if not self._wished:
            return False
        row = self._table.read()
        if row is None:
            return True
        if row.status not in {"queued", "running"}:
            return False
        if not self._written_down:
            self._written_down = self._table.request_save()
            return True
        return row.save_now

    def request_sample(self) -> None:
        """Ask for sample pictures at the end of the present step."""
        self._table.request_sample()
