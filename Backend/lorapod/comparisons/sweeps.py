"""A sweep in the request of a comparison stands for its trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lorapod.comparisons.order import ComparedLora
from lorapod.engines.lora_files import FindRecord
from lorapod.errors import NotFound
from lorapod.records.record import ProcessRecord
from lorapod.volume.artifacts import checkpoints
from lorapod.weights import is_whole
from lorapod.workspace import Workspace

#: The type of a sweep's process.
_SWEEP = "sweep"


@dataclass(frozen=True, kw_only=True)
class ComparedSweeps:
    """Replaces sweeps by their trainings; reads the disk."""

    workspace: Workspace
    find: FindRecord

    def expand(self, loras: Sequence[ComparedLora]) -> tuple[Sequence[ComparedLora], Sequence[str]]:
        """Return the LoRAs with each sweep's trainings in its place, and a warning for each that has no weights yet.

        Raises:
            NotFound: there is no such process, or no training of a sweep has weights.
        """
        expanded: list[ComparedLora] = []
        warnings: list[str] = []
        for lora in loras:
            record = self.find(lora.process_id) if lora.process_id is not None else None
            if record is None or record.type != _SWEEP:
                expanded.append(lora)
                continue
            trainings = self._trainings(record)
            usable = [one for one in trainings if self._has_weights(one)]
            if not usable:
                raise NotFound(
                    f"No training of the sweep {record.process_id} has weights yet.",
                    hint="`process_status` of the sweep shows how far each is.",
                )
            expanded += [replace(lora, process_id=one.process_id) for one in usable]
            warnings += [
                f"{one.process_id} ({one.name}) is left out: it has no weights yet."
                for one in trainings
                if one not in usable
            ]
        return expanded, warnings

    def _trainings(self, sweep: ProcessRecord) -> Sequence[ProcessRecord]:
        """Return the trainings that it has started and that are still known."""
        found = []
        for shown in sweep.outcome.get("processes", ()):
            try:
                found.append(self.find(shown["process_id"]))
            except (KeyError, NotFound):
                continue  # it was never started, or it was deleted
        return found

    def _has_weights(self, training: ProcessRecord) -> bool:
        saved = checkpoints(training.run_folder(self.workspace), training.name)
        return any(is_whole(checkpoint.path) for checkpoint in saved)
