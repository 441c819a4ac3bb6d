"""`list_files`: the files on the workspace."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.files import listing
from lorapod.thread_pools import READS
from lorapod.volume.file_page import FileView, file_view
from lorapod.volume.requests import ListFilesRequest
from lorapod.wire.model import Result
from lorapod.workspace import Workspace


class ListFilesResult(Result):
    """One page of files, sorted by path; no hidden files, no trainers' caches."""

    files: list[FileView] = Field(description="By path.")
    next_cursor: str | None = Field(
        default=None, description="Cursor of the next page; left out on the last."
    )


async def list_files(request: ListFilesRequest, *, workspace: Workspace) -> ListFilesResult:
    """Read the folders in a thread."""
    return await READS.run(_list, request, workspace)


def _list(request: ListFilesRequest, workspace: Workspace) -> ListFilesResult:
    page = listing.list_files(
        workspace,
        workspace.root if request.path is None else workspace.safe_path(request.path),
        recursive=request.recursive,
        pattern=request.pattern,
        kind=request.kind,
        limit=request.limit,
        cursor=request.cursor,
    )
    files = [file_view(file, workspace) for file in page.files]
    return ListFilesResult(files=files, next_cursor=page.next_cursor)


ACTION = Action(
    type="list_files",
    summary="The files of the workspace, or of one of its folders, page by page.",
    request=ListFilesRequest,
    result=ListFilesResult,
    run=list_files,
    time_limit=TimeLimit.READ,
)
