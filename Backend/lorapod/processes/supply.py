"""What a process needs of datasets before its trainer starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from lorapod.storage.s3_access import JobS3
from lorapod.wire.dataset import FetchProgress


class DatasetSupply(Protocol):
    """Brings datasets; called in a supervisor's thread, may take hours."""

    def fetch(
        self,
        source: Mapping[str, Any],
        process_id: str,
        *,
        stopped: Callable[[], bool],
        tell: Callable[[FetchProgress], None],
        folder: Path | None = None,
        job_s3: JobS3 | None = None,
    ) -> Mapping[str, Any] | None:
        """Have a remote dataset there, checked; what is known of it, for answers. None: it was stopped.

        Args:
            source: the dataset as the order names it.
            process_id: for whom; another call for the same goes on with what has come.
            stopped: asked several times a second.
            tell: called about once a second, in the same thread.
            job_s3: the job's own server, where `source` is in S3.
            folder: where it has to lie, for this process alone; what is whole there already is not fetched again.

        Raises:
            WorkerError: it could not be fetched, or cannot be trained on.
            OSError: the disk failed.
        """

    def draw(self, dataset: Path, target: Path) -> bool:
        """Write a contact sheet of a dataset, where there is anything to show; takes two seconds at most."""
