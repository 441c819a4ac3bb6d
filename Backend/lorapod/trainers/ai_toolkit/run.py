"""One run of AI Toolkit while it lasts: what it tells, and what it can be told."""

from __future__ import annotations

import re
from pathlib import Path

from lorapod.trainers.control_table import ControlTable, phase_of
from lorapod.trainers.port import Observation, Phase, TrainingPlan
from lorapod.trainers.progress_line import parse_progress

#: What AI Toolkit prints on its way, by the beginning of the line.
_MILESTONES = (
    ("# Running job:", Phase.LOADING_MODEL),
    ("Dataset: ", Phase.PREPARING_DATASET),
    ("Caching latents for ", Phase.PREPARING_DATASET),
    ("Generating baseline samples", Phase.SAMPLING),
    ("Generating first sample", Phase.SAMPLING),
    ("Sampling at step ", Phase.SAMPLING),
    ("Saving at step ", Phase.SAVING),
)
_RESUMED = re.compile(r"Found step (?P<step>[0-9]{1,12}) in metadata, starting from there")
#: Looks in a row that must find a save done: between taking the wish and saying `Saving model` lies a moment, in
#: which the files of another, periodic save would pass for the one that was asked for.
_CLEAR_LOOKS = 2

#: Any progress bar of tqdm's.
_BAR = re.compile(r"(?:^|: +)\s{0,3}[0-9]{1,3}%\|[^|]*\| ")


class RunReader:
    """Follows one run by its output and its control table."""

    def __init__(self, plan: TrainingPlan) -> None:
        """Begin to follow a run that is about to start."""
        self._name = plan.name
        self._table = ControlTable(plan.control_path, plan.process_id)
        self._seen: Observation | None = None
        self._step = 0
        #: Whether the run fills the control table, which then alone tells the phase: a progress bar's last repaint
        #: is read only when the next one comes, long after AI Toolkit has begun to save or sample.
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
        seen = Observation(phase=phase_of(row.info), step=step, steps_per_s=row.steps_per_s)
        if seen == self._seen:
            return None
        self._seen = seen
        return seen


def _milestone(text: str) -> Observation | None:
    for beginning, phase in _MILESTONES:
        if text.startswith(beginning):
            return Observation(phase=phase)
    return None


class RunControl:
    """Asks one run for checkpoints and samples through its control table."""

    def __init__(self, plan: TrainingPlan) -> None:
        """Talk to a run that has been launched."""
        self._table = ControlTable(plan.control_path, plan.process_id)
        self._run_folder = plan.run_folder
        self._name = plan.name
        self._unwritten = False
        self._before: dict[str, int] | None = None
        self._clear_looks = 0

    def request_save(self) -> None:
        """Ask for a checkpoint at the end of the present step."""
        self._before, self._clear_looks = self._weights(), 0
        self._unwritten = not self._table.request_save()

    def save_pending(self) -> bool:
        """Whether a requested checkpoint is not yet written.

        AI Toolkit takes the wish back before it begins to write, so that alone says nothing: a new file must be
        there, and the row must be past `Saving model`, for the optimizer's state is written last.
        """
        if self._before is None:
            return False
        row = self._table.read()
        if row is None:
            return True
        if row.status != "running":
            # Not under this control, or at its end.
            return False
        if self._unwritten:
            self._unwritten = not self._table.request_save()
            return True
        if row.save_now or phase_of(row.info) is Phase.SAVING or self._weights() == self._before:
            self._clear_looks = 0
            return True
        self._clear_looks += 1
        return self._clear_looks < _CLEAR_LOOKS

    def request_sample(self) -> None:
        """Ask for sample pictures at the end of the present step."""
        self._table.request_sample()

    def _weights(self) -> dict[str, int]:
        """Everything that a checkpoint consists of, with the time it was written."""
        return {
            path.name: _written(path)
            for path in self._run_folder.glob("*")
            if path.name.startswith(self._name)
        }


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
