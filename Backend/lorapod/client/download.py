"""Files of the worker: list them, and download them in parts, resumable and checked by sha256."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.client.errors import TransferFailed
from lorapod.client.queue import QueueClient
from lorapod.records.process_id import is_process_id

#: How often to start again if a file changes during its download.
_FRESH_STARTS = 3

#: If an earlier attempt can be resumed, the first request asks only for the file's name, size and sha256.
_FIRST_BYTE = 1


@dataclass(frozen=True, kw_only=True)
class DownloadProgress:
    """How much of a file has arrived."""

    filename: str
    received_bytes: int
    size_bytes: int


OnDownload = Callable[[DownloadProgress], None]


def bulk_download(
    client: QueueClient,
    process_ids: Sequence[str],
    file_paths: Sequence[str],
    to: Path,
    *,
    on_progress: OnDownload | None = None,
) -> Path:
    """Have the worker pack files into one zip, download it, and return its path.

    Args:
        client: the client of the endpoint.
        process_ids: processes whose checkpoints, samples, config and log to pack.
        file_paths: files and folders of the workspace to pack.
        to: as for `download`.
        on_progress: called after each part of the download.

    Raises:
        TransferFailed: what arrived is not what the worker has.
        LorapodError: the worker does not answer, or cannot pack the files.
    """
    packed = client.call(
        "bulk_download",
        process_ids=list(process_ids),
        file_paths=list(file_paths),
        length=_FIRST_BYTE,
    )
    return download(client, packed["archive_path"], to, on_progress=on_progress)


def place(to: str | Path) -> Path:
    """Return where to write; a text that ends in a slash names a folder, which is made if it is missing."""
    path = Path(to)
    if isinstance(to, str) and to.endswith(("/", os.sep)):
        path.mkdir(parents=True, exist_ok=True)
    return path


def download(client: QueueClient, source: str, to: Path, *, on_progress: OnDownload | None = None) -> Path:
    """Download one file and return its path.

    It is written as `<name>.part` and renamed once its sha256 is the worker's. A `.part` of an earlier attempt is
    continued.

    Args:
        client: the client of the endpoint.
        source: a process id (its final artifact), or a path of the workspace.
        to: an existing folder, or the path of the file.
        on_progress: called after each part.

    Raises:
        TransferFailed: what arrived is not what the worker has.
        LorapodError: the worker does not answer, or has no such file.
    """
    for _ in range(_FRESH_STARTS):
        if (arrived := _attempt(client, source, to, on_progress)) is not None:
            return arrived
    raise TransferFailed(
        f"{source}: what arrived did not match the worker's sha256, {_FRESH_STARTS} times.",
        hint="Its process may still be writing it: wait for its end, then download again.",
    )


def _attempt(client: QueueClient, source: str, to: Path, on_progress: OnDownload | None) -> Path | None:
    """Download once; return None, and keep nothing, if the file changed meanwhile."""
    first = _part(client, source, 0, length=_FIRST_BYTE if _has_part(to) else None)
    target = to / Path(first["filename"]).name if to.is_dir() else to
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    digest = hashlib.sha256()
    # The next part travels while this one is decoded, hashed and written.
    with partial.open("ab+") as file, ThreadPoolExecutor(1, "download") as ahead:
        received = _resume(file, digest, first["size_bytes"])
        part = first
        while True:
            following: Future[dict[str, Any]] | None = None
            if part["offset"] == received:
                if part["offset"] + part["length"] < first["size_bytes"]:
                    following = ahead.submit(_part, client, source, part["offset"] + part["length"])
                data = _decoded(part, source)
                file.write(data)
                digest.update(data)
                received += len(data)
            if on_progress:
                on_progress(
                    DownloadProgress(
                        filename=target.name, received_bytes=received, size_bytes=first["size_bytes"]
                    )
                )
            if received >= first["size_bytes"]:
                break
            part = following.result() if following else _part(client, source, received)
            if part["sha256"] != first["sha256"] or (part["offset"] == received and not part["length"]):
                break
        file.flush()
        os.fsync(file.fileno())
    if received != first["size_bytes"] or digest.hexdigest() != first["sha256"]:
        partial.unlink()
        return None
    partial.replace(target)
    return target


def _resume(file: Any, digest: Any, size_bytes: int) -> int:
    """Read what an earlier attempt left into `digest`; return its size."""
    file.seek(0, 2)
    if file.tell() > size_bytes:
        file.truncate(0)
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    return int(file.tell())


def _has_part(to: Path) -> bool:
    return any(to.glob("*.part")) if to.is_dir() else to.with_name(f"{to.name}.part").exists()


def address(client: QueueClient, source: str) -> dict[str, Any]:
    """Return the answer with the URL of a file in the endpoint's object store.

    Args:
        client: the client of the endpoint.
        source: a process id (its final artifact), or a path of the workspace.

    Raises:
        LorapodError: the worker does not answer, has no such file, or no object store.
    """
    return _ask(client, source, {"as": "url"})


def _part(client: QueueClient, source: str, offset: int, *, length: int | None = None) -> dict[str, Any]:
    return _ask(client, source, {"offset": offset, "length": length})


def _ask(client: QueueClient, source: str, fields: dict[str, Any]) -> dict[str, Any]:
    if is_process_id(source):
        return client.call("download", process_id=source, **fields)
    return client.call("download_file", file_path=source, **fields)


def _decoded(part: dict[str, Any], source: str) -> bytes:
    try:
        data = base64.b64decode(part["data"], validate=True)
    except (KeyError, binascii.Error) as error:
        raise TransferFailed(f"{source}: a part from the worker is not base64; download it again.") from error
    if len(data) != part["length"]:
        raise TransferFailed(
            f"{source}: a part has {len(data)} bytes instead of {part['length']}; download it again."
        )
    return data


def list_files(client: QueueClient, path: str | None, **filters: Any) -> list[dict[str, Any]]:
    """Return every file below `path` (None: of the whole workspace).

    Raises:
        NotFoundError: there is no such folder.
    """
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.call("list_files", path=path, cursor=cursor, **filters)
        found += page["files"]
        cursor = page.get("next_cursor")
        if cursor is None:
            return found


def sha256_of(client: QueueClient, path: str) -> str:
    """Return the worker's sha256 of a file of the workspace, without downloading the file.

    Raises:
        NotFoundError: there is no such file.
    """
    return str(client.call("download_file", file_path=path, length=1)["sha256"])
