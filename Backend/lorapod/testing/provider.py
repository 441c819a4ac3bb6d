"""Datasets from elsewhere, as a test wants them to come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.errors import WorkerError
from lorapod.storage.s3_access import JobS3
from lorapod.wire.dataset import FetchProgress

#: Between two looks whether to stop.
_LOOK_S = 0.01


class ScriptedDatasets:
    """A `lorapod.processes.supply.DatasetProvider` that fetches nothing."""

    def __init__(self, workspace: Path) -> None:
        """Have datasets appear in `workspace`, at once and without trouble."""
        self._workspace = workspace
        #: What the next fetch ends with.
        self.error: WorkerError | OSError | None = None
        #: Whether a fetch lasts until it is stopped.
        self.endless = False
        #: The ids of the processes that fetched, in order.
        self.fetched_for: list[str] = []

    def fetch(
        self,
        source: Mapping[str, Any],
        process_id: str,
        *,
        stopped: Callable[[], bool],
        tell: Callable[[FetchProgress], None],
        entries: Sequence[DatasetEntry] = (),  # noqa: ARG002 - it looks into nothing
        folder: Path | None = None,
        job_s3: JobS3 | None = None,  # noqa: ARG002 - it asks no server
    ) -> Mapping[str, Any] | None:
        """Make the folder that `source` names as `path`, with one file.

        Raises:
            WorkerError: `error`.
            OSError: `error`.
        """
        self.fetched_for.append(process_id)
        tell(FetchProgress(files=0, total_files=1, received_bytes=1, total_bytes=2))
        while self.endless:
            if stopped():
                return None
            time.sleep(_LOOK_S)
        if self.error is not None:
            raise self.error
        folder = folder or self._workspace / source["path"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.png").touch()
        tell(FetchProgress(files=1, total_files=1, received_bytes=2, total_bytes=2))
        path = folder.relative_to(self._workspace).as_posix()
        return {"path": path, "images": 1, "captions": 0, "warnings": ["one is few"]}

    def draw(self, entries: Sequence[DatasetEntry], target: Path) -> bool:
        """Return an empty file as the contact sheet."""
        if not any(entry.folder.is_dir() for entry in entries):
            return False
        target.touch()
        return True
