"""Find the artifacts that are new since the last look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorapod.events import event_texts
from lorapod.events.event_data import CheckpointData, SampleData
from lorapod.events.event_types import EventType
from lorapod.records.record import ProcessRecord
from lorapod.safety.images import is_cut_off
from lorapod.volume import artifacts
from lorapod.weights import is_whole
from lorapod.workspace import Workspace


class ArtifactTracker:
    """Remembers which artifacts were reported; for one thread at a time."""

    def __init__(self, workspace: Workspace) -> None:
        """Start with no artifact reported."""
        self._workspace = workspace
        #: Paths, relative to the workspace; of final weights with the steps of the training, which can grow.
        self._reported: set[tuple[str, int | None]] = set()
        self._seen: dict[str, tuple[int, int]] = {}

    def mark_reported(self, path: str, *, total_steps: int | None = None) -> None:
        """Never report this artifact again; `total_steps`: final weights, of a training with so many steps."""
        self._reported.add((path, total_steps))

    def new_artifacts(
        self, record: ProcessRecord, *, still: bool
    ) -> Iterator[tuple[EventType, CheckpointData | SampleData]]:
        """Yield each artifact that is new and complete, once.

        `still`: the training has ended, so no file changes any more.

        Raises:
            OSError: the disk failed.
        """
        folder = record.run_folder(self._workspace)
        for sample in artifacts.samples(folder):
            if path := self._new(sample.path, still=still):
                if still and is_cut_off(sample.path):
                    continue
                self.mark_reported(path)
                yield EventType.SAMPLE, event_texts.sample(record, sample, path)
        for weights in artifacts.checkpoints(folder, record.name):
            steps = record.progress.total_steps if weights.final else None
            path = self._new(weights.path, still=still, total_steps=steps)
            if path and is_whole(weights.path):
                self.mark_reported(path, total_steps=steps)
                yield EventType.CHECKPOINT, event_texts.checkpoint(record, weights, path)

    def _new(self, file: Path, *, still: bool, total_steps: int | None = None) -> str | None:
        """Return the path of a file that was not reported and has not changed since the last look, else None."""
        path = self._workspace.relative(file)
        if (path, total_steps) in self._reported:
            return None
        try:
            status = file.stat()
        except FileNotFoundError:
            return None
        state = (status.st_size, status.st_mtime_ns)
        before, self._seen[path] = self._seen.get(path), state
        return path if status.st_size and (still or state == before) else None
