"""`datasets`: the datasets of the workspace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.datasets.entry import DatasetEntry
from lorapod.datasets.reader import DatasetReader
from lorapod.folders import entries_of
from lorapod.processes.manager import RealProcessManager
from lorapod.thread_pools import READS
from lorapod.wire.gallery import DatasetListView
from lorapod.wire.model import Request, Result
from lorapod.workspace import Workspace

#: Trainings that are looked through for the datasets that they used, the newest first.
_TRAININGS_MAX = 500
_USED_BY_MAX = 20


class DatasetsRequest(Request):
    """Which page of the list."""

    limit: int = Field(default=100, ge=1, le=1000, description="Most datasets of one page.")
    cursor: str | None = Field(
        default=None, max_length=1024, description="`next_cursor` of the previous page."
    )


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
    return DatasetListView(
        training_name=folder.name,
        path=path,
        images=len(reading.images),
        videos=len(reading.videos),
        captions=len(reading.caption_files),
        total_bytes=reading.total_bytes,
        modified_at=datetime.fromtimestamp(folder.stat().st_mtime, UTC),
        used_by=list(used.get(path, ()))[:_USED_BY_MAX],
    )


def _used(processes: RealProcessManager) -> Mapping[str, Sequence[str]]:
    """Return the trainings of each dataset's path, the newest first."""
    found: dict[str, list[str]] = defaultdict(list)
    for process_id in processes.newest_ids({"train"}, _TRAININGS_MAX):
        with suppress(LookupError, OSError):
            record = processes.get(process_id)
            if isinstance(path := record.dataset.get("path"), str):
                found[path].append(process_id)
    return found


ACTION = Action(
    type="datasets",
    summary="The datasets of the workspace: what is in each, and which trainings used it.",
    request=DatasetsRequest,
    result=DatasetsResult,
    run=datasets,
    reads_datasets=True,
    time_limit=TimeLimit.FILE,
)
