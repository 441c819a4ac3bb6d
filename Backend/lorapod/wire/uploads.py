"""What became of a process's artifacts on their way to object stores, as answers show it."""

from __future__ import annotations

from pydantic import Field

from lorapod.wire.model import WireModel
from lorapod.wire.storage import UploadTargets


class UploadFailure(WireModel):
    """A file that could not be sent the last time."""

    target: str = Field(description="Which target: `s3`, `supabase`, `huggingface` or `local`.")
    key: str = Field(description="The file's key there; empty if the target itself cannot be used.")
    error: str = Field(description="Why, in one sentence.")


class UploadTargetView(WireModel):
    """One target."""

    to: UploadTargets = Field(description="The target, as `upload` names it.")
    root: str = Field(
        description="What every key begins with there, before `/checkpoints`, `/samples` and `/logs`."
    )


class UploadsView(WireModel):
    """How far the artifacts of a process are sent."""

    targets: list[UploadTargetView] = Field(description="Where they go.")
    sent: int = Field(description="Files that lie there, each target counted by itself.")
    pending: int = Field(description="Files that are still to be sent, or being written.")
    failed: list[UploadFailure] = Field(default=[], description="What failed the last time it was tried.")
