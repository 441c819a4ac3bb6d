"""The files of a folder, sorted and page by page, without reading more of the tree than a page needs."""

from __future__ import annotations

import base64
import binascii
import contextlib
import fnmatch
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from lorapod.errors import InvalidInput
from lorapod.kinds import FileKind, is_hidden, kind_of
from lorapod.volume.port import EntryKind, FileEntry, VolumeListing
from lorapod.wire.model import Moment, RelativePath, WireModel
from lorapod.workspace import Workspace

#: A page ends here even below its limit: names are long sometimes, and an answer must fit one reply.
_PAGE_NAMES_BYTES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """One file; `path` is below the root of the workspace, as absolute or relative as that."""

    path: Path
    size_bytes: int
    #: Seconds since the epoch.
    modified_s: float
    kind: FileKind


@dataclass(frozen=True, kw_only=True)
class FilePage:
    """One page of files; `next_cursor` is None on the last."""

    files: Sequence[ListedFile]
    next_cursor: str | None


def page_of_files(
    listing: VolumeListing,
    folder: Path,
    *,
    recursive: bool = True,
    pattern: str | None = None,
    kind: FileKind | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    shows_link: Callable[[FileEntry], bool] = lambda _: False,
) -> FilePage:
    """Return one page of the files in `folder`, sorted by path, folder by folder.

    Hidden files and trainers' caches are not listed; links to folders are not followed. A cursor names the last file of
    the previous page, so pages neither repeat nor miss a file that was there all the time, even if others are added or
    removed meanwhile.

    Args:
        listing: lists the folders.
        folder: where to look; a single file is listed alone.
        recursive: whether to look into the folders below.
        pattern: a glob on the name, or, if it has a slash, on the path below `folder` (`*` also matches slashes).
        kind: only files of this kind.
        limit: most files of the page; all if left out.
        cursor: `next_cursor` of the previous page.
        shows_link: says whether a link is listed as a file.

    Raises:
        InvalidInput: the cursor is not one of ours.
    """
    wanted = _matcher(pattern, kind)
    walk = _Walk(listing, recursive=recursive, shows_link=shows_link)
    listed: list[ListedFile] = []
    names_bytes = 0
    last: tuple[str, ...] = ()
    for parts, entry in walk.folder(folder, (), _opened(cursor)):
        if not wanted(parts):
            continue
        if len(listed) == limit or names_bytes > _PAGE_NAMES_BYTES:
            return FilePage(files=listed, next_cursor=_sealed(last))
        # A file may go between its listing and this look.
        with contextlib.suppress(FileNotFoundError):
            listed.append(listed_file(entry))
            last = parts
            names_bytes += len(str(entry.path))
    return FilePage(files=listed, next_cursor=None)


def listed_file(entry: FileEntry) -> ListedFile:
    """Look at one file.

    Raises:
        FileNotFoundError: it is gone.
    """
    state = entry.state()
    return ListedFile(
        path=entry.path,
        size_bytes=state.size_bytes,
        modified_s=state.modified_ns / 1e9,
        kind=kind_of(entry.name),
    )


def _known_kind(kind: object) -> object:
    return kind if kind in set(FileKind) else FileKind.OTHER


#: A kind of a newer worker is read as one of the others.
KnownKind = Annotated[FileKind, BeforeValidator(_known_kind)]


class FileView(WireModel):
    """One file."""

    path: RelativePath = Field(description="Relative to the workspace.")
    name: str = Field(description="Last part of the path.")
    size_bytes: int = Field(description="Size in bytes.")
    modified_at: Moment = Field(description="When its content last changed.")
    kind: KnownKind = Field(description="What kind of file it is; the name decides.")


def file_view(file: ListedFile, workspace: Workspace) -> FileView:
    """Return a file as answers show it."""
    return FileView(
        path=workspace.relative(file.path),
        name=file.path.name,
        size_bytes=file.size_bytes,
        modified_at=datetime.fromtimestamp(file.modified_s, UTC),
        kind=file.kind,
    )


@dataclass(frozen=True)
class _Walk:
    listing: VolumeListing
    recursive: bool
    shows_link: Callable[[FileEntry], bool]

    def folder(
        self, folder: Path, parts: tuple[str, ...], after: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], FileEntry]]:
        """Yield the files below `folder` whose parts come after `after`, in the order of their parts."""
        try:
            entries = [entry for entry in self.listing.entries(folder) if _is_shown(entry.name)]
        except PermissionError:
            return
        for entry in entries:
            if after and entry.name < after[0]:
                continue
            begun = bool(after) and entry.name == after[0]
            if entry.kind is EntryKind.FOLDER:
                if self.recursive:
                    yield from self.folder(entry.path, (*parts, entry.name), after[1:] if begun else ())
            elif not begun and (entry.is_file or self.shows_link(entry)):
                yield (*parts, entry.name), entry


def _is_shown(name: str) -> bool:
    """Names that are not UTF-8 cannot stand in an answer, nor in a request."""
    return not is_hidden(name) and not any("\ud800" <= character <= "\udfff" for character in name)


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
