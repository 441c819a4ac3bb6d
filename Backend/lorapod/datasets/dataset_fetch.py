"""One remote dataset on its way to one process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.storage.s3_access import JobS3
from lorapod.wire.dataset import DatasetRef


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetFetch:
    """What is fetched, for which process, and into which folders."""

    ref: DatasetRef
    process_id: str
    job_s3: JobS3 | None
    #: Called several times a second; True ends the fetch.
    stopped: Callable[[], bool]
    staging: Path
    target: Path
    #: Whether later requests may use the dataset too; else it belongs to the process alone.
    shared: bool
    #: How the training reads it, if a config is known.
    entry: DatasetEntry | None

    def read_in(self, folder: Path) -> DatasetEntry:
        """Return how it is read in this folder."""
        return dataclasses.replace(self.entry or DatasetEntry(folder=folder), folder=folder)
