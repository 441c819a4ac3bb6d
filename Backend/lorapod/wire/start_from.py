"""The weights that a training begins with."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from lorapod.wire.model import PathText, ProcessId, RelativePath, WireModel


class StartFrom(WireModel):
    """An earlier LoRA, whose weights a training begins with instead of fresh ones."""

    process_id: ProcessId | None = Field(default=None, description="The training that made it.")
    step: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        description="Its checkpoint of this step; without it, its final weights, or its newest checkpoint.",
    )
    path: PathText | None = Field(
        default=None, description="A LoRA file of the workspace, or its name in `models/loras`."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.process_id is None) == (self.path is None):
            raise ValueError("name exactly one of process_id, path")
        if self.step is not None and self.process_id is None:
            raise ValueError("step: goes with process_id")
        return self


class StartedFrom(WireModel):
    """The LoRA that a training began with."""

    path: RelativePath = Field(description="Its file, which may be gone by now.")
    process_id: ProcessId | None = Field(
        default=None, description="The training that made it, if it was named."
    )
    step: int | None = Field(default=None, description="Steps that it was trained for, if they are known.")
