"""`ping`: whether a worker answers."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.settings import Settings
from lorapod.wire.model import Request, Result


class PingRequest(Request):
    """No field but the type."""


class PingResult(Result):
    """A sign of life."""

    pong: bool = Field(default=True, description="Always true.")
    worker_id: str = Field(description="The worker that answered.")


async def ping(_request: PingRequest, *, settings: Settings) -> PingResult:
    """Answer without a look at anything."""
    return PingResult(worker_id=settings.worker_id)


ACTION = Action(
    type="ping",
    summary="Answer at once, to show that a worker is up, and which one.",
    request=PingRequest,
    result=PingResult,
    run=ping,
    time_limit=TimeLimit.READ,
)
