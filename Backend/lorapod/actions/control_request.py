"""`save_now` and `sample_now`: control requests to a running training."""

from __future__ import annotations

from lorapod.actions.action import Action
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.requests import Capability, ControlRequest
from lorapod.thread_pools import CONTROL
from lorapod.wire.control import RequestedResult
from lorapod.wire.model import ProcessRequest


class RunningProcessRequest(ProcessRequest):
    """Which process."""


async def save_now(request: RunningProcessRequest, *, processes: RealProcessManager) -> RequestedResult:
    """Ask the trainer, on any worker, for a checkpoint."""
    return await _ask(request, processes, Capability.SAVE)


async def sample_now(request: RunningProcessRequest, *, processes: RealProcessManager) -> RequestedResult:
    """Ask the trainer, on any worker, for sample images."""
    return await _ask(request, processes, Capability.SAMPLE)


async def _ask(
    request: RunningProcessRequest, processes: RealProcessManager, capability: Capability
) -> RequestedResult:
    control = ControlRequest(capability=capability)
    record = await CONTROL.run(processes.ask, request.process_id, control)
    return RequestedResult(process_id=record.process_id, requested=True)


SAVE_NOW = Action(
    type="save_now",
    summary="Have a running training write a checkpoint at the end of its present step.",
    request=RunningProcessRequest,
    result=RequestedResult,
    run=save_now,
)

SAMPLE_NOW = Action(
    type="sample_now",
    summary="Have a running training make its sample images at the next step.",
    request=RunningProcessRequest,
    result=RequestedResult,
    run=sample_now,
)
