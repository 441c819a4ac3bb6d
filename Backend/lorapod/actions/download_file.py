"""`download_file`: a file of the workspace, part by part."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
import time
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.services import Services
from lorapod.errors import NotFound
from lorapod.files.parts import largest_part_bytes, read_part
from lorapod.kinds import is_hidden
from lorapod.wire.model import Moment, PathText, RelativePath, Request, Result
from lorapod.workspace import Workspace

_OCTETS = "application/octet-stream"


class Transfer(StrEnum):
    """How a file's bytes reach the caller."""

    BASE64 = "base64"
    URL = "url"


class Pace:
    """Says when it is time to tell how far something is."""

    def __init__(self, *, interval_s: float) -> None:
        """Be due every `interval_s`, and ten seconds at the latest: a caller looks sooner than that."""
        self._interval_s = min(interval_s, 10.0)
        self._told_s = time.monotonic()

    def due(self) -> bool:
        """Whether so long has passed since it last was."""
        now_s = time.monotonic()
        if now_s - self._told_s < self._interval_s:
            return False
        self._told_s = now_s
        return True


class PartRequest(Request):
    """Which part of a file."""

    offset: int = Field(
        default=0, ge=0, description="Where to begin, in bytes; `next_offset` of the answer before."
    )
    length: int | None = Field(
        default=None,
        ge=0,
        description="How many bytes; fewer come where one reply cannot hold them, or the file ends.",
    )
    transfer: Transfer = Field(
        default=Transfer.BASE64,
        alias="as",
        description="The bytes in the answer, or an address to fetch the whole file from (with an object store only).",
    )


class DownloadFileRequest(PartRequest):
    """Which part of which file."""

    file_path: PathText = Field(description="Relative to the workspace, or absolute under it.")


class DownloadResult(Result):
    """A part of a file."""

    filename: str = Field(description="Last part of the path.")
    file_path: RelativePath = Field(description="Relative to the workspace.")
    size_bytes: int = Field(description="Of the whole file.")
    offset: int = Field(description="Where this part begins, in bytes.")
    length: int = Field(description="Bytes of this part.")
    next_offset: int = Field(description="Where to go on.")
    eof: bool = Field(description="Whether the file ends with this part.")
    content_type: str = Field(description="Media type, by its name.")
    sha256: str = Field(description="Of the whole file.")
    data: str | None = Field(default=None, description="The part's bytes as base64.")
    url: str | None = Field(
        default=None, description="Where the whole file can be fetched, without credentials."
    )
    expires_at: Moment | None = Field(default=None, description="Until when it can.")


async def download_file(request: DownloadFileRequest, services: Services, job: RunPodJob) -> DownloadResult:
    """Read the part in a thread."""
    return await asyncio.to_thread(_download, request, services, job)


def _download(request: DownloadFileRequest, services: Services, job: RunPodJob) -> DownloadResult:
    return part_of(workspace_file(request.file_path, services.workspace), request, services, job)


def workspace_file(text: str, workspace: Workspace) -> Path:
    """The real path behind a caller's; it need not exist.

    Raises:
        UnsafePath: it ends outside the workspace.
        NotFound: it is the worker's or a trainer's own business.
    """
    path = workspace.safe_path(text)
    if any(is_hidden(part) for part in path.relative_to(workspace.root).parts):
        raise NotFound(f"There is no file {path.name}.")
    return path


def part_of(path: Path, request: PartRequest, services: Services, job: RunPodJob) -> DownloadResult:
    """The asked part of the file at `path`, a real path inside the workspace, or its address; blocks.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no file, or the part begins beyond its end.
        Unsupported: an address was asked for, and no object store is there to give one.
        UpstreamError: the object store does not answer, or refuses.
    """
    if request.transfer is Transfer.URL:
        return _address_of(path, services, job)
    part = read_part(
        path,
        offset=request.offset,
        length=request.length,
        most_bytes=largest_part_bytes(services.settings.max_reply_bytes),
    )
    return DownloadResult(
        filename=path.name,
        file_path=services.workspace.relative(path),
        size_bytes=part.size_bytes,
        offset=part.offset,
        length=len(part.data),
        next_offset=part.next_offset,
        eof=part.eof,
        content_type=mimetypes.guess_type(path.name)[0] or _OCTETS,
        sha256=services.digests.sha256(path),
        data=base64.b64encode(part.data).decode("ascii"),
    )


def _address_of(path: Path, services: Services, job: RunPodJob) -> DownloadResult:
    """The whole file, wherever a part was to begin."""
    size_bytes = read_part(path, offset=0, length=0, most_bytes=0).size_bytes
    sha256 = services.digests.sha256(path)
    told = Pace(interval_s=services.settings.progress_interval_s)

    def uploaded(sent_bytes: int) -> None:
        if told.due():
            job.show({"phase": "uploading", "sent_bytes": sent_bytes, "total_bytes": size_bytes})

    shared = services.shares.share(path, sha256=sha256, job_s3=job.s3, progress=uploaded)
    return DownloadResult(
        filename=path.name,
        file_path=services.workspace.relative(path),
        size_bytes=size_bytes,
        offset=0,
        length=size_bytes,
        next_offset=size_bytes,
        eof=True,
        content_type=mimetypes.guess_type(path.name)[0] or _OCTETS,
        sha256=sha256,
        url=shared.url,
        expires_at=shared.expires_at,
    )


ACTION = Action(
    type="download_file",
    summary="A file of the workspace, in parts that each fit one reply.",
    request=DownloadFileRequest,
    result=DownloadResult,
    run=download_file,
)
