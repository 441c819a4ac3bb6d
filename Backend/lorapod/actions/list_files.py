"""`list_files`: the files on the workspace."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.files import listing
from lorapod.kinds import FileKind
from lorapod.thread_pools import READS
from lorapod.volume.file_page import FileView, file_view
from lorapod.wire.model import PathText, Request, Result
from lorapod.workspace import Workspace


class ListFilesRequest(Request):
    """Which files, and which page of them."""

    path: PathText | None = Field(
        default=None, description="Folder, or one file; if left out, the whole workspace."
    )
    recursive: bool = Field(default=True, description="Include the folders below it.")
    pattern: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Glob on the name (`*.png`), or, with a slash in it, on the path below `path`, where `*` "
        "crosses slashes.",
    )
    kind: FileKind | None = Field(default=None, description="Only files of this kind; the name decides.")
    limit: int = Field(default=1000, ge=1, le=10_000, description="Most files of one page.")
    cursor: str | None = Field(
        default=None, max_length=16_384, description="`next_cursor` of the previous page."
    )


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
