"""`download_file`: a file of the workspace, part by part."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from lorapod.actions.action import Action, Job
from lorapod.actions.services import Services
from lorapod.errors import NotFound, Unsupported
from lorapod.files.parts import largest_part_bytes, read_part
from lorapod.kinds import is_hidden
from lorapod.wire.model import Moment, PathText, RelativePath, Request, Result

_OCTETS = "application/octet-stream"


class Transfer(StrEnum):
    """How a file's bytes reach the caller."""

    BASE64 = "base64"
    URL = "url"


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
        description="The bytes in the answer, or an address to fetch them from.",
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
    url: str | None = Field(default=None, description="Where the file can be fetched.")
    expires_at: Moment | None = Field(default=None, description="Until when it can.")


async def download_file(request: DownloadFileRequest, services: Services, _job: Job) -> DownloadResult:
    """Read the part in a thread."""
    return await asyncio.to_thread(_download, request, services)


def _download(request: DownloadFileRequest, services: Services) -> DownloadResult:
    path = services.workspace.safe_path(request.file_path)
    if any(is_hidden(part) for part in path.relative_to(services.workspace.root).parts):
        raise NotFound(f"There is no file {path.name}.")
    return part_of(path, request, services)


def part_of(path: Path, request: PartRequest, services: Services) -> DownloadResult:
    """The asked part of the file at `path`, a real path inside the workspace; blocks.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no file, or the part begins beyond its end.
        Unsupported: an address was asked for, and no object store is there to give one.
    """
    if request.transfer is Transfer.URL:
        raise Unsupported(
            "This version of the worker cannot give an address of a file.",
            hint="Leave out `as` and fetch the file in parts.",
        )
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


ACTION = Action(
    type="download_file",
    summary="A file of the workspace, in parts that each fit one reply.",
    request=DownloadFileRequest,
    result=DownloadResult,
    run=download_file,
)
