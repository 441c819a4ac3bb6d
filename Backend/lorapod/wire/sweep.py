"""A sweep: several trainings that were started by one request."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lorapod.wire.model import AnsweredCode, ProcessId, WireModel


class SweepTraining(WireModel):
    """One training of a sweep."""

    variant: dict[str, Any] = Field(description="What is special to it, as the request names it.")
    process_id: ProcessId | None = Field(
        default=None, description="The training; left out if it could not be started."
    )
    status: str = Field(description="Its status.")
    step: int | None = Field(default=None, description="Steps that are done.")
    total_steps: int | None = Field(default=None, description="Steps in all.")
    loss: float | None = Field(default=None, description="Loss of the last reported step.")
    ran_s: float | None = Field(default=None, description="Seconds that its trainer has run.")
    gpu: str | None = Field(
        default=None, description="Name of the GPU that it has, or had last, if it is known."
    )
    error: str | None = Field(default=None, description="Why it failed or could not be started.")
    code: AnsweredCode | None = Field(
        default=None, description="The kind of error, if it could not be started."
    )
