"""`datasets`: the datasets of the workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.used_datasets import TRAININGS_MAX, datasets_of, listed_dataset
from lorapod.folders import entries_of
from lorapod.processes.manager import RealProcessManager
from lorapod.records.record import ProcessRecord
from lorapod.thread_pools import READS
from lorapod.volume.requests import DatasetsRequest
from lorapod.wire.gallery import DatasetListView
from lorapod.wire.model import Result
from lorapod.workspace import Workspace


class DatasetsResult(Result):
    """One page of datasets, sorted by name."""

    datasets: list[DatasetListView] = Field(description="By name.")
    next_cursor: str | None = Field(
        default=None, description="Cursor of the next page; left out on the last."
    )


async def datasets(
    request: DatasetsRequest, *, workspace: Workspace, processes: RealProcessManager
) -> DatasetsResult:
    """Read the folders in a thread."""
    return await READS.run(_page, request, workspace, processes)


def _page(request: DatasetsRequest, workspace: Workspace, processes: RealProcessManager) -> DatasetsResult:
    names = [
        entry.name
        for entry in entries_of(workspace.training_data)
        if entry.is_dir() and not entry.name.startswith(".")
    ]
    rest = [name for name in names if request.cursor is None or name > request.cursor]
    used = _used(processes)
    shown = rest[: request.limit]
    return DatasetsResult(
        datasets=[_view(workspace.training_data / name, workspace, used) for name in shown],
        next_cursor=shown[-1] if len(rest) > len(shown) else None,
    )


def _view(folder: Path, workspace: Workspace, used: Mapping[str, Sequence[str]]) -> DatasetListView:
    reading = DatasetReader(workspace.root).read(DatasetEntry(folder=folder))
    path = workspace.relative(folder)
    modified_at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return listed_dataset(reading, path, modified_at, used.get(path, ()))


def _used(processes: RealProcessManager) -> Mapping[str, Sequence[str]]:
    """Return the trainings of each dataset's path, the newest first."""

    def records() -> Iterator[ProcessRecord]:
        for process_id in processes.newest_ids({"train"}, TRAININGS_MAX):
            with suppress(LookupError, OSError):
                yield processes.get(process_id)

    return datasets_of(records())


ACTION = Action(
    type="datasets",
    summary="The datasets of the workspace: what is in each, and which trainings used it.",
    request=DatasetsRequest,
    result=DatasetsResult,
    run=datasets,
    reads_datasets=True,
    time_limit=TimeLimit.FILE,
)
