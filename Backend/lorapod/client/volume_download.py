"""Download a file straight from the volume: parts at the same time, resumable, checked."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from lorapod.client.bucket_files import BucketFiles
from lorapod.client.download import OnDownload
from lorapod.client.errors import TransferFailed
from lorapod.client.partial_download import DownloadProgress
from lorapod.volume.port import FileState

#: How often to start again if a file changes during its download.
_FRESH_STARTS: Final = 3

#: The ETag of an object that was not uploaded in parts is its MD5.
_MD5: Final = re.compile(r"[0-9a-f]{32}")


def download_from_volume(
    files: BucketFiles, path: Path, to: Path, *, on_progress: OnDownload | None = None
) -> Path:
    """Download one file and return its path on this machine.

    It is written as `<name>.part`, and renamed once it is whole and its MD5 is the server's. A `.part` of an earlier
    attempt is continued if the server tells an MD5.

    Args:
        files: the volume.
        path: the file, relative to the workspace.
        to: an existing folder, or the path of the file.
        on_progress: called after each part.

    Raises:
        FileNotFoundError: the volume has no such file.
        TransferFailed: it changes while it is downloaded.
        LorapodError: the volume does not answer, or refuses.
    """
    target = to / path.name if to.is_dir() else to
    partial = target.with_name(f"{target.name}.part")
    for _ in range(_FRESH_STARTS):
        state = files.state(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _MD5.fullmatch(state.etag):
            # Nothing could tell afterwards that the first part is of another file.
            partial.unlink(missing_ok=True)
        with suppress(TransferFailed):
            _receive(files, path, state, partial, on_progress)
            if _is_whole(files, path, state, partial):
                partial.replace(target)
                return target
        partial.unlink(missing_ok=True)
    raise TransferFailed(
        f"{path.as_posix()}: what arrived was not what the volume has, {_FRESH_STARTS} times.",
        hint="Its process may still be writing it: wait for its end, then download again.",
    )


def _receive(
    files: BucketFiles, path: Path, state: FileState, partial: Path, on_progress: OnDownload | None
) -> None:
    with partial.open("ab") as file:
        received = file.tell()
        if received > state.size_bytes:
            received = file.truncate(0)
        for data in files.parts(path, received, state.size_bytes):
            file.write(data)
            received += len(data)
            if on_progress is not None:
                on_progress(
                    DownloadProgress(filename=path.name, received_bytes=received, size_bytes=state.size_bytes)
                )
        file.flush()
        os.fsync(file.fileno())


def _is_whole(files: BucketFiles, path: Path, state: FileState, partial: Path) -> bool:
    """Return whether what arrived is what the volume has now."""
    if partial.stat().st_size != state.size_bytes or files.state(path) != state:
        return False
    if not _MD5.fullmatch(state.etag):
        return True
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == state.etag
