"""A part of a file, or its URL."""

from __future__ import annotations

from pydantic import Field

from lorapod.wire.model import Moment, RelativePath, Result


class DownloadResult(Result):
    """A part of a file."""

    filename: str = Field(description="Last part of the path.")
    file_path: RelativePath = Field(description="Relative to the workspace.")
    size_bytes: int = Field(description="Of the whole file.")
    offset: int = Field(description="Where this part begins, in bytes.")
    length: int = Field(description="Bytes of this part.")
    next_offset: int = Field(description="Offset of the next part.")
    eof: bool = Field(description="Whether the file ends with this part.")
    content_type: str = Field(description="Media type, by its name.")
    sha256: str = Field(description="Of the whole file.")
    data: str | None = Field(default=None, description="The part's bytes as base64.")
    url: str | None = Field(default=None, description="URL of the whole file; it needs no credentials.")
    expires_at: Moment | None = Field(default=None, description="Until when the URL works.")
