"""What a running AI Toolkit can be asked for."""

from __future__ import annotations

import os

from lorapod.folders import entries_of
from lorapod.records.status import Phase
from lorapod.trainers.control_table import ControlTable, phase_of
from lorapod.trainers.port import TrainingPlan

#: How many looks in a row must find a save finished: AI Toolkit closes the request a moment before it says `Saving
#: model`, and in that moment the files of a periodic save would pass for the requested ones.
_CLEAR_LOOKS = 2


class ToolkitRunControl:
    """Asks one run for checkpoints and samples through its control table."""

    def __init__(self, plan: TrainingPlan) -> None:
        """Talk to a run that has been launched."""
        self._table = ControlTable(plan.control_path, plan.process_id)
        self._run_folder = plan.run_folder
        self._name = plan.name
        self._requested = False
        self._unwritten = False
        #: The files of the checkpoints before the request; None: not known yet.
        self._before: dict[str, int] | None = None
        self._clear_looks = 0

    def request_save(self) -> None:
        """Ask for a checkpoint at the end of the current step."""
        self._requested, self._clear_looks = True, 0
        self._before = self._weights()
        self._unwritten = not self._table.request_save()

    def save_pending(self) -> bool:
        """Return whether a requested checkpoint is not written yet.

        AI Toolkit closes the request before it begins to write, so that alone proves nothing: a new file must be there,
        and the row must be past `Saving model`, because the optimizer's state is written last.
        """
        if not self._requested:
            return False
        row = self._table.read()
        if row is None:
            return True
        if row.status != "running":
            # This process type does not use the table, or the run is at its end.
            return False
        if self._unwritten:
            self._unwritten = not self._table.request_save()
            return True
        weights = self._weights()
        if self._before is None:
            self._before = weights
        if row.save_now or phase_of(row.info) is Phase.SAVING or weights in (None, self._before):
            self._clear_looks = 0
            return True
        self._clear_looks += 1
        return self._clear_looks < _CLEAR_LOOKS

    def request_sample(self) -> None:
        """Ask for sample images at the end of the current step."""
        self._table.request_sample()

    def _weights(self) -> dict[str, int] | None:
        """Return the files of all checkpoints with their change times, or None if the folder cannot be read now."""
        try:
            return {
                entry.name: _changed_ns(entry)
                for entry in entries_of(self._run_folder)
                if entry.name.startswith(self._name)
            }
        except OSError:
            return None


def _changed_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
