"""What one run of the builtin trainer can be told while it lasts."""

from __future__ import annotations

from lorapod.trainers.control_table import ControlTable
from lorapod.trainers.port import TrainingPlan


class BuiltinRunControl:
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
