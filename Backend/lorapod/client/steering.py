"""List processes, and send them control requests."""

from __future__ import annotations

from lorapod.client.calls import QueueCalls
from lorapod.client.reading import read
from lorapod.wire.control import CancelResult, RequestedResult
from lorapod.wire.process import ProcessSummary


async def processes(
    calls: QueueCalls, *, status: str | None, sweep_id: str | None, limit: int
) -> list[ProcessSummary]:
    """Return the newest processes, the newest first."""
    answer = await calls.call("processes", status=status, sweep_id=sweep_id, limit=limit)
    return [read(ProcessSummary, one) for one in answer["processes"]]


async def cancel(calls: QueueCalls, process_id: str, *, save: bool | None) -> CancelResult:
    """Stop a process; with `save` (the worker's default) after a checkpoint, if the trainer can."""
    return read(CancelResult, await calls.call("cancel", process_id=process_id, save=save))


async def save_now(calls: QueueCalls, process_id: str) -> RequestedResult:
    """Have a training write a checkpoint at the end of its present step."""
    return read(RequestedResult, await calls.call("save_now", process_id=process_id))


async def sample_now(calls: QueueCalls, process_id: str) -> RequestedResult:
    """Have a training make its sample images at the next step."""
    return read(RequestedResult, await calls.call("sample_now", process_id=process_id))
