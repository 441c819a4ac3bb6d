"""`download_file`: a file of the workspace, part by part."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from lorapod.actions.action import Action, RunPodJob, TimeLimit
from lorapod.errors import NotFound
from lorapod.files.digests import DigestBook
from lorapod.files.parts import largest_part_bytes, read_part
from lorapod.kinds import content_type_of, is_hidden
from lorapod.settings import Settings
from lorapod.storage.shares import FileShares
from lorapod.thread_pools import FILES
from lorapod.wire.files import DownloadResult
from lorapod.wire.model import PathText, Request
from lorapod.workspace import Workspace


class Transfer(StrEnum):
    """How a file's bytes reach the caller."""

    BASE64 = "base64"
    URL = "url"


class Pace:
    """Says when the next progress report is due."""

    def __init__(self, *, interval_s: float) -> None:
        """Be due every `interval_s`, and ten seconds at the latest: a caller looks sooner than that."""
        self._interval_s = min(interval_s, 10.0)
        self._told_s = time.monotonic()

    def due(self) -> bool:
        """Return True if the interval has passed since the last report."""
        now_s = time.monotonic()
        if now_s - self._told_s < self._interval_s:
            return False
        self._told_s = now_s
        return True


class PartRequest(Request):
    """Which part of a file."""

    offset: int = Field(
        default=0, ge=0, description="Where to begin, in bytes: `next_offset` of the previous answer."
    )
    length: int | None = Field(
        default=None,
        ge=0,
        description="Length of the part in bytes; the answer has fewer if one answer cannot hold them, or if the file ends.",
    )
    transfer: Transfer = Field(
        default=Transfer.BASE64,
        alias="as",
        description="`base64`: the bytes in the answer; `url`: a URL of the whole file (needs an object store).",
    )


class DownloadFileRequest(PartRequest):
    """Which part of which file."""

    file_path: PathText = Field(description="Relative to the workspace, or absolute under it.")


def workspace_file(text: str, workspace: Workspace) -> Path:
    """Return the real path behind a caller's; it need not exist.

    Raises:
        UnsafePath: it ends outside the workspace.
        NotFound: it is internal to the worker or a trainer.
    """
    path = workspace.safe_path(text)
    if any(is_hidden(part) for part in path.relative_to(workspace.root).parts):
        raise NotFound(f"There is no file {path.name!r}.", hint="`list_files` lists the files.")
    return path


@dataclass(frozen=True, kw_only=True)
class FileParts:
    """What reads parts of the workspace's files, and shares whole ones by URL."""

    settings: Settings
    workspace: Workspace
    digests: DigestBook
    shares: FileShares

    def read(self, path: Path, request: PartRequest, job: RunPodJob) -> DownloadResult:
        """Return the requested part of the file at `path`, a real path inside the workspace, or its URL; blocks.

        Raises:
            NotFound: there is no such file.
            InvalidInput: it is no file, or the part begins beyond its end.
            Unsupported: a URL was requested, and this endpoint has no object store.
            UpstreamError: the object store does not answer, or refuses.
        """
        if request.transfer is Transfer.URL:
            return self._share(path, job)
        part = read_part(
            path,
            offset=request.offset,
            length=request.length,
            most_bytes=largest_part_bytes(self.settings.max_reply_bytes),
        )
        return DownloadResult(
            filename=path.name,
            file_path=self.workspace.relative(path),
            size_bytes=part.size_bytes,
            offset=part.offset,
            length=len(part.data),
            next_offset=part.next_offset,
            eof=part.eof,
            content_type=content_type_of(path.name),
            sha256=self.digests.sha256(path),
            data=base64.b64encode(part.data).decode("ascii"),
        )

    def _share(self, path: Path, job: RunPodJob) -> DownloadResult:
        """Upload the whole file, wherever the part was to begin."""
        size_bytes = read_part(path, offset=0, length=0, most_bytes=0).size_bytes
        sha256 = self.digests.sha256(path)
        pace = Pace(interval_s=self.settings.progress_interval_s)

        def uploaded(sent_bytes: int) -> None:
            if pace.due():
                job.show({"phase": "uploading", "sent_bytes": sent_bytes, "total_bytes": size_bytes})

        shared = self.shares.share(path, sha256=sha256, job_s3=job.s3, progress=uploaded)
        return DownloadResult(
            filename=path.name,
            file_path=self.workspace.relative(path),
            size_bytes=size_bytes,
            offset=0,
            length=size_bytes,
            next_offset=size_bytes,
            eof=True,
            content_type=content_type_of(path.name),
            sha256=sha256,
            url=shared.url,
            expires_at=shared.expires_at,
        )


async def download_file(
    request: DownloadFileRequest, *, file_parts: FileParts, job: RunPodJob
) -> DownloadResult:
    """Read the part in a thread."""
    return await FILES.run(_download, request, file_parts, job)


def _download(request: DownloadFileRequest, file_parts: FileParts, job: RunPodJob) -> DownloadResult:
    return file_parts.read(workspace_file(request.file_path, file_parts.workspace), request, job)


ACTION = Action(
    type="download_file",
    summary="A file of the workspace, in parts that each fit one answer.",
    request=DownloadFileRequest,
    result=DownloadResult,
    run=download_file,
    time_limit=TimeLimit.FILE,
)
