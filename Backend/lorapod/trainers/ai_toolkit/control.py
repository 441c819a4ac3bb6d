"""What one run of AI Toolkit can be told while it lasts."""

from __future__ import annotations

from pathlib import Path

from lorapod.folders import entries_of
from lorapod.processes.status import Phase
from lorapod.trainers.control_table import ControlTable, phase_of
from lorapod.trainers.port import TrainingPlan

#: Looks in a row that must find a save done: between taking the wish and saying `Saving model` lies a moment, in
#: which the files of another, periodic save would pass for the one that was asked for.
_CLEAR_LOOKS = 2


class ToolkitRunControl:
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
            entry.name: _written(Path(entry.path))
            for entry in entries_of(self._run_folder)
            if entry.name.startswith(self._name)
        }


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
