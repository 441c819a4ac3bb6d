"""Artifacts that have come since the last look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorapod.events.models import CheckpointData, EventType, SampleData
from lorapod.processes import artifacts, narration
from lorapod.processes.record import ProcessRecord
from lorapod.safety.images import is_cut_off
from lorapod.weights import is_whole
from lorapod.workspace import Workspace


class Sightings:
    """Remembers what was told of; for one thread at a time."""

    def __init__(self, workspace: Workspace) -> None:
        """Begin knowing nothing."""
        self._workspace = workspace
        #: Paths, relative to the workspace, that were told of.
        self._told: set[str] = set()
        self._seen: dict[str, tuple[int, int]] = {}

    def know(self, path: str) -> None:
        """It was told of already."""
        self._told.add(path)

    def look(
        self, record: ProcessRecord, *, still: bool
    ) -> Iterator[tuple[EventType, CheckpointData | SampleData]]:
        """What is new and whole, each once; `still`: the training has ended, so no file changes any more.

        Raises:
            OSError: the disk failed.
        """
        folder = record.run_folder(self._workspace)
        for picture in artifacts.samples(folder):
            if path := self._new(picture.path, still=still):
                if still and is_cut_off(picture.path):
                    continue
                self.know(path)
                yield EventType.SAMPLE, narration.sample(record, picture, path)
        for weights in artifacts.checkpoints(folder, record.name):
            if (path := self._new(weights.path, still=still)) and is_whole(weights.path):
                self.know(path)
                yield EventType.CHECKPOINT, narration.checkpoint(record, weights, path)

    def _new(self, file: Path, *, still: bool) -> str | None:
        """The path of a file that was not told of, and is as it was at the last look."""
        path = self._workspace.relative(file)
        if path in self._told:
            return None
        try:
            status = file.stat()
        except FileNotFoundError:
            return None
        state = (status.st_size, status.st_mtime_ns)
        before, self._seen[path] = self._seen.get(path), state
        return path if status.st_size and (still or state == before) else None
