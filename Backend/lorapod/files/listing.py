"""The files of a folder, sorted and page by page, without reading more of the tree than a page needs."""

from __future__ import annotations

import base64
import binascii
import contextlib
import fnmatch
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import InvalidInput, NotFound
from lorapod.kinds import FileKind, is_hidden, kind_of
from lorapod.workspace import Workspace

#: A page ends here even below its limit: names are long sometimes, and an answer must fit one reply.
_PAGE_NAMES_BYTES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """One file; `path` is absolute."""

    path: Path
    size_bytes: int
    #: Seconds since the epoch.
    modified_s: float
    kind: FileKind


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of files; `next_cursor` is None on the last."""

    files: Sequence[ListedFile]
    next_cursor: str | None


def list_files(
    workspace: Workspace,
    folder: Path,
    *,
    recursive: bool = True,
    pattern: str | None = None,
    kind: FileKind | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Page:
    """Return one page of the files in `folder`, sorted by path, folder by folder.

    Hidden files, trainers' caches and links that lead outside the workspace are not listed; links to folders are
    not followed. A cursor names the last file of the previous page, so pages neither repeat nor miss a file that was
    there all the time, even if others are added or removed meanwhile.

    Args:
        workspace: links that lead outside it are not listed.
        folder: where to look; a path from `Workspace.safe_path`. A single file is listed alone.
        recursive: whether to look into the folders below.
        pattern: a glob on the name, or, if it has a slash, on the path below `folder` (`*` also matches slashes).
        kind: only files of this kind.
        limit: most files of the page; all if left out.
        cursor: `next_cursor` of the previous page.

    Raises:
        NotFound: there is no such folder.
        InvalidInput: the cursor is not one of ours.
    """
    if any(is_hidden(part) for part in folder.relative_to(workspace.root).parts) or not folder.exists():
        raise NotFound(f"There is no folder {workspace.relative(folder)!r}.")
    wanted = _matcher(pattern, kind)
    listed: list[ListedFile] = []
    names_bytes = 0
    last: tuple[str, ...] = ()
    for parts, entry_path in _walk(workspace, folder, recursive=recursive, after=_opened(cursor)):
        if not wanted(parts):
            continue
        if len(listed) == limit or names_bytes > _PAGE_NAMES_BYTES:
            return Page(files=listed, next_cursor=_sealed(last))
        # A file may go between its listing and this look.
        with contextlib.suppress(FileNotFoundError):
            path = Path(entry_path)
            state = path.stat()
            listed.append(
                ListedFile(
                    path=path,
                    size_bytes=state.st_size,
                    modified_s=state.st_mtime,
                    kind=kind_of(parts[-1]),
                )
            )
            last = parts
            names_bytes += len(entry_path)
    return Page(files=listed, next_cursor=None)


def _walk(
    workspace: Workspace, folder: Path, *, recursive: bool, after: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    if folder.is_dir():
        yield from _walk_folder(workspace.root, str(folder), (), after, recursive=recursive)
    elif folder.is_file() and not after:
        yield (folder.name,), str(folder)


def _walk_folder(
    root: Path, folder: str, parts: tuple[str, ...], after: tuple[str, ...], *, recursive: bool
) -> Iterator[tuple[tuple[str, ...], str]]:
    """The files below `folder` whose parts come after `after`, in the order of their parts."""
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(
                (entry for entry in scanned if _is_shown(entry.name)), key=lambda entry: entry.name
            )
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for entry in entries:
        if after and entry.name < after[0]:
            continue
        begun = bool(after) and entry.name == after[0]
        if entry.is_dir(follow_symlinks=False):
            if recursive:
                rest = after[1:] if begun else ()
                yield from _walk_folder(root, entry.path, (*parts, entry.name), rest, recursive=recursive)
        elif not begun and _is_file(root, entry):
            yield (*parts, entry.name), entry.path


def _is_shown(name: str) -> bool:
    """Names that are not UTF-8 cannot stand in an answer, nor in a request."""
    return not is_hidden(name) and not any("\ud800" <= character <= "\udfff" for character in name)


def _is_file(root: Path, entry: os.DirEntry[str]) -> bool:
    if not entry.is_symlink():
        return entry.is_file()
    try:
        target = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    inside = target.is_relative_to(root) and target.is_file()
    return inside and not any(is_hidden(part) for part in target.relative_to(root).parts)


def _matcher(pattern: str | None, kind: FileKind | None) -> Callable[[tuple[str, ...]], bool]:
    def wanted(parts: tuple[str, ...]) -> bool:
        if kind is not None and kind_of(parts[-1]) is not kind:
            return False
        return pattern is None or fnmatch.fnmatchcase(
            "/".join(parts) if "/" in pattern else parts[-1], pattern
        )

    return wanted


def _sealed(parts: tuple[str, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, ensure_ascii=False).encode()).decode()


def _opened(cursor: str | None) -> tuple[str, ...]:
    if cursor is None:
        return ()
    try:
        parts = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise InvalidInput("cursor: it is not one that `list_files` answered.") from error
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise InvalidInput("cursor: it is not one that `list_files` answered.")
    return tuple(parts)
