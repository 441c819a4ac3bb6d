"""Datasets in a list, and which trainings used them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from lorapod.dataset_reader.reading import DatasetReading
from lorapod.records.record import ProcessRecord
from lorapod.wire.gallery import DatasetListView

#: Trainings that are looked through for the datasets that they used, the newest first.
TRAININGS_MAX: Final = 500

_USED_BY_MAX: Final = 20


def datasets_of(records: Iterable[ProcessRecord]) -> Mapping[str, Sequence[str]]:
    """Return the trainings of each dataset's path, in the order of the records."""
    found: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if isinstance(path := record.dataset.get("path"), str):
            found[path].append(record.process_id)
    return found


def listed_dataset(
    reading: DatasetReading, path: str, modified_at: datetime, used_by: Sequence[str]
) -> DatasetListView:
    """Return a dataset as a list shows it; `path` is relative to the workspace."""
    return DatasetListView(
        training_name=reading.entry.folder.name,
        path=path,
        images=len(reading.images),
        videos=len(reading.videos),
        captions=len(reading.caption_files),
        total_bytes=reading.total_bytes,
        modified_at=modified_at,
        used_by=list(used_by)[:_USED_BY_MAX],
    )
