"""Datasets as trainings need them; see `lorapod.trainers.preparation.DatasetProvider`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.check import DatasetSummary, inspect
from lorapod.datasets.contact_sheet import draw_contact_sheet
from lorapod.datasets.fetching import DatasetFetcher
from lorapod.datasets.sets import combined, distinct
from lorapod.datasets.sources.running import Stopped
from lorapod.storage.s3_access import JobS3
from lorapod.wire.dataset import DatasetRef, DatasetView, FetchProgress
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)


class RemoteDatasetProvider:
    """A `DatasetProvider` that fetches through a `DatasetFetcher`."""

    def __init__(self, fetcher: DatasetFetcher, workspace: Workspace) -> None:
        """Show paths relative to `workspace`."""
        self._fetcher = fetcher
        self._workspace = workspace

    def fetch(
        self,
        source: Mapping[str, Any],
        process_id: str,
        *,
        stopped: Callable[[], bool],
        tell: Callable[[FetchProgress], None],
        entries: Sequence[DatasetEntry] = (),
        folder: Path | None = None,
        job_s3: JobS3 | None = None,
    ) -> Mapping[str, Any] | None:
        """Fetch the dataset; return it as answers show it, or None if it was stopped.

        Raises:
            WorkerError: it could not be fetched, or cannot be trained on.
            OSError: the disk failed.
        """
        ref = DatasetRef.model_validate(source)
        planned = folder or self._fetcher.folder_of(ref, job_s3=job_s3)
        sets = distinct(entries)
        main = next((entry for entry in sets if entry.folder == planned), DatasetEntry(folder=planned))
        others = [entry for entry in sets if entry is not main]
        try:
            fetched = self._fetcher.fetch(
                ref, process_id, stopped=stopped, tell=tell, folder=folder, job_s3=job_s3, entry=main
            )
        except Stopped:
            return None
        rest = [inspect(entry, root=self._workspace.root) for entry in others]
        summary = combined([main, *others], [fetched, *rest], self._workspace)
        summary.refuse_errors(self._workspace.relative(fetched.path))
        return dataset_view(summary, self._workspace).answer()

    def draw(self, entries: Sequence[DatasetEntry], target: Path) -> bool:
        """Write a contact sheet; return False if there is nothing to show, or the disk refuses it: the training continues."""
        try:
            return draw_contact_sheet(entries, target)
        except OSError as error:
            logger.warning(
                "contact sheet cannot be written", extra={"path": str(target), "error": str(error)}
            )
            return False


def dataset_view(summary: DatasetSummary, workspace: Workspace) -> DatasetView:
    """Return what was found in a dataset, as answers show it."""
    return DatasetView(
        path=workspace.relative(summary.path),
        images=summary.images,
        videos=summary.videos,
        captions=summary.captions,
        warnings=list(summary.warnings),
        fixed=list(summary.fixed),
    )
