"""What `save_now` and `sample_now` share."""

from __future__ import annotations

import asyncio

from pydantic import Field

from lorapod.actions.services import Services
from lorapod.processes.requests import Capability, ControlRequest
from lorapod.wire.model import ProcessId, ProcessRequest, Result


class WishRequest(ProcessRequest):
    """Which process."""


class WishResult(Result):
    """That the wish was passed on."""

    process_id: ProcessId = Field(description="The process.")
    requested: bool = Field(description="Whether the trainer was told; it acts at the end of a step.")


async def wish(request: WishRequest, services: Services, capability: Capability) -> WishResult:
    """Pass a wish on to whoever holds the process."""
    asked = ControlRequest(capability=capability)
    record = await asyncio.to_thread(services.processes.ask, request.process_id, asked)
    return WishResult(process_id=record.process_id, requested=True)
