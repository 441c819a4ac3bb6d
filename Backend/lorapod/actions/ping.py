"""`ping`: the shortest way to see that a worker answers."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.settings import Settings
from lorapod.wire.model import Request, Result


class PingRequest(Request):
    """Nothing but the type."""


class PingResult(Result):
    """A sign of life."""

    pong: bool = Field(default=True, description="Always true.")
    worker_id: str = Field(description="The worker that answered.")


async def ping(_request: PingRequest, *, settings: Settings) -> PingResult:
    """Answer; nothing is looked at."""
    return PingResult(worker_id=settings.worker_id)


ACTION = Action(
    type="ping",
    summary="Answers at once: a sign that a worker is up, and which one.",
    request=PingRequest,
    result=PingResult,
    run=ping,
    time_limit=TimeLimit.READ,
)
