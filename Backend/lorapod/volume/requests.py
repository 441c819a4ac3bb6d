"""The requests that look at a workspace: a worker answers them, and so does its volume alone."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from lorapod.kinds import FileKind
from lorapod.records.status import ProcessStatus
from lorapod.wire.model import PathText, ProcessId, ProcessRequest, Request

#: A part's text can grow sixfold as JSON (`\u001b`), and has to fit one reply.
MAX_PART_BYTES: Final = 1_000_000


class ProcessStatusRequest(ProcessRequest):
    """Which process, and how much of it."""

    log_tail: int | None = Field(
        default=None, ge=1, le=1000, description="Add this many of the last lines of its log."
    )
    metrics: bool = Field(default=False, description="Add the newest value of every metric.")


class ProcessesRequest(Request):
    """Which processes."""

    status: ProcessStatus | None = Field(default=None, description="Only those in this state.")
    sweep_id: ProcessId | None = Field(
        default=None,
        description="The trainings of this sweep; without it, each sweep is one process of the list.",
    )
    limit: int = Field(default=50, ge=1, le=500, description="Most processes of this page.")
    cursor: ProcessId | None = Field(default=None, description="`next_cursor` of the previous answer.")


class LogsRequest(ProcessRequest):
    """Which part of which log."""

    offset: int = Field(
        default=0,
        description="Where to begin, in bytes: `next_offset` of the previous answer; a negative number counts from the end.",
    )
    limit: int = Field(default=256_000, ge=4, le=MAX_PART_BYTES, description="Most bytes of this part.")


class MetricsRequest(ProcessRequest):
    """Which curves, and how much of them."""

    keys: list[str] | None = Field(default=None, max_length=100, description="Only these, e.g. `loss/loss`.")
    since_step: int | None = Field(
        default=None, ge=0, description="Only later steps than this one; without it all, step 0 too."
    )
    stride: int = Field(default=1, ge=1, description="Only every n-th step: 10 answers every tenth.")


class ListFilesRequest(Request):
    """Which files, and which page of them."""

    path: PathText | None = Field(
        default=None, description="Folder, or one file; if left out, the whole workspace."
    )
    recursive: bool = Field(default=True, description="Include the folders below it.")
    pattern: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Glob on the name (`*.png`), or, with a slash in it, on the path below `path`, where `*` "
        "crosses slashes.",
    )
    kind: FileKind | None = Field(default=None, description="Only files of this kind; the name decides.")
    limit: int = Field(default=1000, ge=1, le=10_000, description="Most files of one page.")
    cursor: str | None = Field(
        default=None, max_length=16_384, description="`next_cursor` of the previous page."
    )


class DatasetsRequest(Request):
    """Which page of the list."""

    limit: int = Field(default=100, ge=1, le=1000, description="Most datasets of one page.")
    cursor: str | None = Field(
        default=None, max_length=1024, description="`next_cursor` of the previous page."
    )


class UnopenedDatasetRequest(Request):
    """Which page of a dataset whose images are not opened: the part of `dataset` that needs no worker."""

    training_name: str
    caption_ext: Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9_]{1,16}$")] | None = None
    limit: int = Field(default=200, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=4096)
    thumbnail_px: Literal[0] = 0
