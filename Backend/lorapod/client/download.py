"""Files from the worker: in parts, resumed where a transfer broke off, whole only when their sha256 agrees."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.client.errors import TransferFailed
from lorapod.client.queue import QueueClient

#: How often a file that changed while it was fetched is begun again.
_FRESH_STARTS = 3

#: Where an earlier attempt may be gone on from, the first answer need only name the file, its size and its sha256.
_ENOUGH_TO_KNOW = 1

_PROCESS_ID = re.compile(r"[a-z]{3,16}_[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class DownloadProgress:
    """How much of a file is here."""

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
    """Have the worker pack files into one zip, fetch it as `download` does, and answer where it is.

    Args:
        client: the client.
        process_ids: processes whose checkpoints, samples, config and log are wished.
        file_paths: files and folders of the workspace.
        to: as for `download`.
        on_progress: called after each part; packing is not part of it.

    Raises:
        TransferFailed: what arrived is not what the worker has.
        LorapodError: the worker does not answer, or cannot pack them.
    """
    packed = client.call(
        "bulk_download",
        process_ids=list(process_ids),
        file_paths=list(file_paths),
        length=_ENOUGH_TO_KNOW,
    )
    return download(client, packed["archive_path"], to, on_progress=on_progress)


def download(client: QueueClient, source: str, to: Path, *, on_progress: OnDownload | None = None) -> Path:
    """Fetch one file and answer where it is.

    It grows as `<name>.part` beside its place and is renamed once its sha256 is the worker's; a `.part` that an
    earlier attempt left is gone on from.

    Args:
        client: the client.
        source: a process id (its final artifact), or a path of the workspace.
        to: a folder, or the file's own path; a folder that does not exist yet ends with a slash or is made before.
        on_progress: called after each part.

    Raises:
        TransferFailed: what arrived is not what the worker has.
        LorapodError: the worker does not answer, or has no such file.
    """
    for _ in range(_FRESH_STARTS):
        if (arrived := _attempt(client, source, to, on_progress)) is not None:
            return arrived
    raise TransferFailed(
        f"{source} did not arrive as the worker has it, {_FRESH_STARTS} times.",
        hint="It may still be written to: wait for its process to end.",
    )


def _attempt(client: QueueClient, source: str, to: Path, on_progress: OnDownload | None) -> Path | None:
    """One way through the file; None: what arrived is not one file, nothing of it is kept."""
    first = _part(client, source, 0, length=_ENOUGH_TO_KNOW if _has_left_over(to) else None)
    target = to / Path(first["filename"]).name if to.is_dir() else to
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    digest = hashlib.sha256()
    # One part is under way while the one before is decoded, hashed and written.
    with partial.open("ab+") as file, ThreadPoolExecutor(1, "download") as ahead:
        received = _take_up(file, digest, first["size_bytes"])
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


def _take_up(file: Any, digest: Any, size_bytes: int) -> int:
    """The bytes of an earlier attempt that can be kept, read into `digest`."""
    file.seek(0, 2)
    if file.tell() > size_bytes:
        file.truncate(0)
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    return int(file.tell())


def _has_left_over(to: Path) -> bool:
    return any(to.glob("*.part")) if to.is_dir() else to.with_name(f"{to.name}.part").exists()


def address(client: QueueClient, source: str) -> dict[str, Any]:
    """The answer that names where a file can be fetched, from the endpoint's object store.

    Args:
        client: the client.
        source: a process id (its final artifact), or a path of the workspace.

    Raises:
        LorapodError: the worker does not answer, has no such file, or no object store.
    """
    return _asked(client, source, {"as": "url"})


def _part(client: QueueClient, source: str, offset: int, *, length: int | None = None) -> dict[str, Any]:
    return _asked(client, source, {"offset": offset, "length": length})


def _asked(client: QueueClient, source: str, fields: dict[str, Any]) -> dict[str, Any]:
    if _PROCESS_ID.fullmatch(source):
        return client.call("download", process_id=source, **fields)
    return client.call("download_file", file_path=source, **fields)


def _decoded(part: dict[str, Any], source: str) -> bytes:
    try:
        data = base64.b64decode(part["data"], validate=True)
    except (KeyError, binascii.Error) as error:
        raise TransferFailed(f"{source}: the worker's part holds no base64 data.") from error
    if len(data) != part["length"]:
        raise TransferFailed(f"{source}: a part has {len(data)} bytes where {part['length']} were told.")
    return data


def list_files(client: QueueClient, path: str | None, **filters: Any) -> list[dict[str, Any]]:
    """Every file below `path` (None: of the workspace), all pages of the answer.

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
    """The sha256 of a file of the workspace, as the worker counted it, without fetching the file.

    Raises:
        NotFoundError: there is no such file.
    """
    return str(client.call("download_file", file_path=path, length=1)["sha256"])
