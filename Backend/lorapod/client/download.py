"""Files of the worker: list them, and download them in parts, resumable and checked by sha256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from lorapod.client.calls import QueueCalls
from lorapod.client.errors import TransferFailed
from lorapod.client.partial_download import DownloadProgress, PartialDownload, decoded, is_begun
from lorapod.client.reading import read
from lorapod.client.runtime import WorkAhead
from lorapod.records.process_id import is_process_id
from lorapod.volume.file_page import FileView
from lorapod.wire.files import DownloadResult

#: How often to start again if a file changes during its download.
_FRESH_STARTS = 3

#: If an earlier attempt can be resumed, the first request asks only for the file's name, size and sha256.
_FIRST_BYTE = 1


OnDownload = Callable[[DownloadProgress], None]

PathLike: TypeAlias = "str | os.PathLike[str]"


async def bulk_download(
    calls: QueueCalls,
    process_ids: Sequence[str],
    file_paths: Sequence[str],
    to: PathLike,
    *,
    on_progress: OnDownload | None = None,
) -> Path:
    """Have the worker pack files into one zip, download it, and return its path.

    Args:
        calls: the calls to the endpoint.
        process_ids: processes whose checkpoints, samples, config and log to pack.
        file_paths: files and folders of the workspace to pack.
        to: as for `download`.
        on_progress: called after each part of the download.

    Raises:
        TransferFailed: what arrived is not what the worker has.
        LorapodError: the worker does not answer, or cannot pack the files.
    """
    packed = await calls.call(
        "bulk_download",
        process_ids=list(process_ids),
        file_paths=list(file_paths),
        length=_FIRST_BYTE,
    )
    return await download(calls, packed["archive_path"], to, on_progress=on_progress)


def place(to: PathLike) -> Path:
    """Return where to write; a text that ends in a slash names a folder, which is made if it is missing."""
    path = Path(to)
    if isinstance(to, str) and to.endswith(("/", os.sep)):
        path.mkdir(parents=True, exist_ok=True)
    return path


async def download(
    calls: QueueCalls, source: str, to: PathLike, *, on_progress: OnDownload | None = None
) -> Path:
    """Download one file and return its path.

    It is written as `<name>.part` and renamed once its sha256 is the worker's. A `.part` of an earlier attempt is
    continued.

    Args:
        calls: the calls to the endpoint.
        source: a process id (its final artifact), or a path of the workspace.
        to: a folder (an existing one, or a text that ends in a slash), or the path of the file.
        on_progress: called after each part.

    Raises:
        TransferFailed: what arrived is not what the worker has.
        LocalFileError: the file cannot be written here.
        LorapodError: the worker does not answer, or has no such file.
    """
    target = await calls.runtime.with_files(lambda: place(to))
    for _ in range(_FRESH_STARTS):
        if (arrived := await _attempt(calls, source, target, on_progress)) is not None:
            return arrived
    raise TransferFailed(
        f"{source}: what arrived did not match the worker's sha256, {_FRESH_STARTS} times.",
        hint="Its process may still be writing it: wait for its end, then download again.",
    )


async def _attempt(calls: QueueCalls, source: str, to: Path, on_progress: OnDownload | None) -> Path | None:
    """Download once; return None, and keep nothing, if the file changed meanwhile."""
    with_files = calls.runtime.with_files
    has_part = await with_files(lambda: is_begun(to))
    first = await _part(calls, source, 0, length=_FIRST_BYTE if has_part else None)
    arriving = PartialDownload(first, to)
    try:
        await with_files(arriving.open)
        await _receive(calls, source, arriving, on_progress)
    except BaseException:
        await with_files(arriving.close)
        raise
    return await with_files(arriving.keep)


async def _receive(
    calls: QueueCalls, source: str, arriving: PartialDownload, on_progress: OnDownload | None
) -> None:
    """Receive parts until the file is whole, or has changed."""
    part = arriving.first
    while True:
        following: WorkAhead[dict[str, Any]] | None = None
        # The next part travels while this one is decoded, hashed and written.
        if part["offset"] == arriving.received and part["offset"] + part["length"] < arriving.size_bytes:
            following = calls.runtime.ahead(partial(_part, calls, source, part["offset"] + part["length"]))
        try:
            await calls.runtime.with_files(partial(arriving.add, part, source))
            if on_progress:
                on_progress(arriving.progress())
            if arriving.received >= arriving.size_bytes:
                return
            part = await (following.result() if following else _part(calls, source, arriving.received))
        except BaseException:
            if following is not None:
                await following.drop()
            raise
        if part["sha256"] != arriving.sha256 or (part["offset"] == arriving.received and not part["length"]):
            return


async def content(calls: QueueCalls, path: str) -> bytes:
    """Return a small file of the workspace.

    Raises:
        TransferFailed: it did not arrive unchanged.
        LorapodError: the worker does not answer, or has no such file.
    """
    received = b""
    while True:
        part = await _part(calls, path, len(received))
        received += decoded(part, path)
        if len(received) >= part["size_bytes"] or not part["length"]:
            break
    if hashlib.sha256(received).hexdigest() != part["sha256"]:
        raise TransferFailed(f"{path}: what arrived did not match the worker's sha256; download it again.")
    return received


async def address(calls: QueueCalls, source: str) -> DownloadResult:
    """Return the URL of a file in the endpoint's object store.

    Args:
        calls: the calls to the endpoint.
        source: a process id (its final artifact), or a path of the workspace.

    Raises:
        LorapodError: the worker does not answer, has no such file, or no object store.
    """
    return read(DownloadResult, await _ask(calls, source, {"as": "url"}))


async def _part(calls: QueueCalls, source: str, offset: int, *, length: int | None = None) -> dict[str, Any]:
    return await _ask(calls, source, {"offset": offset, "length": length})


async def _ask(calls: QueueCalls, source: str, fields: dict[str, Any]) -> dict[str, Any]:
    if is_process_id(source):
        return await calls.call("download", process_id=source, **fields)
    return await calls.call("download_file", file_path=source, **fields)


async def list_files(
    calls: QueueCalls,
    path: str | None,
    *,
    kind: str | None = None,
    pattern: str | None = None,
    recursive: bool | None = None,
    limit: int | None = None,
) -> list[FileView]:
    """Return every file below `path` (None: of the whole workspace); `limit`: how many a request.

    Raises:
        NotFoundError: there is no such folder.
    """
    found: list[FileView] = []
    cursor: str | None = None
    while True:
        page = await calls.call(
            "list_files",
            path=path,
            kind=kind,
            pattern=pattern,
            recursive=recursive,
            limit=limit,
            cursor=cursor,
        )
        found += [read(FileView, one) for one in page["files"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            return found


async def sha256_of(calls: QueueCalls, path: str) -> str:
    """Return the worker's sha256 of a file of the workspace, without downloading the file.

    Raises:
        NotFoundError: there is no such file.
    """
    answer = await calls.call("download_file", file_path=path, length=_FIRST_BYTE)
    return str(answer["sha256"])
