"""The files of a folder of the workspace, page by page; see `lorapod.volume.file_page`."""

from __future__ import annotations

from pathlib import Path

from lorapod.errors import NotFound
from lorapod.kinds import FileKind, is_hidden
from lorapod.volume.file_page import FilePage, page_of_files
from lorapod.volume.listed_files import ListedFiles
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.port import EntryKind, FileEntry
from lorapod.workspace import Workspace


def list_files(
    workspace: Workspace,
    folder: Path,
    *,
    recursive: bool = True,
    pattern: str | None = None,
    kind: FileKind | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> FilePage:
    """Return one page of the files in `folder`; links that lead outside the workspace are not listed.

    Args:
        workspace: where links may lead.
        folder: where to look; a path from `Workspace.safe_path`. A single file is listed alone.
        recursive, pattern, kind, limit, cursor: see `page_of_files`.

    Raises:
        NotFound: there is no such folder.
        InvalidInput: the cursor is not one of ours.
    """
    if any(is_hidden(part) for part in folder.relative_to(workspace.root).parts) or not folder.exists():
        raise NotFound(f"There is no folder {workspace.relative(folder)!r}.")
    return page_of_files(
        LOCAL_FILES if folder.is_dir() else _alone(folder),
        folder if folder.is_dir() else folder.parent,
        recursive=recursive,
        pattern=pattern,
        kind=kind,
        limit=limit,
        cursor=cursor,
        shows_link=lambda entry: _stays_inside(entry, workspace.root),
    )


def _alone(file: Path) -> ListedFiles:
    return ListedFiles([FileEntry(path=file, kind=EntryKind.FILE, state=lambda: LOCAL_FILES.state(file))])


def _stays_inside(entry: FileEntry, root: Path) -> bool:
    """Return whether a link leads to a file of the workspace that is shown."""
    try:
        target = entry.path.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    inside = target.is_relative_to(root) and target.is_file()
    return inside and not any(is_hidden(part) for part in target.relative_to(root).parts)
