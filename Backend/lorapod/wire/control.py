"""Answers to control requests."""

from __future__ import annotations

from pydantic import Field

from lorapod.wire.model import ProcessId, Result


class CancelResult(Result):
    """What was observed soon after the request."""

    process_id: ProcessId = Field(description="The process.")
    status: str = Field(
        description="Status observed soon after the request: `stopping`, or `cancelled` if it has ended."
    )


class RequestedResult(Result):
    """That the request was passed on."""

    process_id: ProcessId = Field(description="The process.")
    requested: bool = Field(description="Always true: the trainer acts at the end of a step.")
