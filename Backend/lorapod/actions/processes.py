"""`processes`: the processes of this workspace, newest first."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.processes.manager import RealProcessManager
from lorapod.settings import Settings
from lorapod.thread_pools import READS
from lorapod.volume.process_view import summary
from lorapod.volume.requests import ProcessesRequest
from lorapod.wire.model import Result
from lorapod.wire.process import ProcessSummary


class ProcessesResult(Result):
    """One page of processes."""

    processes: list[ProcessSummary] = Field(description="Newest first.")
    count: int = Field(description="How many this page holds.")
    next_cursor: str | None = Field(
        default=None, description="Cursor of the next page; left out on the last."
    )
    worker_id: str = Field(description="The worker that answered.")


async def list_processes(
    request: ProcessesRequest, *, processes: RealProcessManager, settings: Settings
) -> ProcessesResult:
    """Answer from the records of all workers."""
    found, next_cursor = await READS.run(
        processes.page,
        status=request.status,
        limit=request.limit,
        before=request.cursor,
        sweep_id=request.sweep_id,
    )
    return ProcessesResult(
        processes=[summary(record) for record in found],
        count=len(found),
        next_cursor=next_cursor,
        worker_id=settings.worker_id,
    )


ACTION = Action(
    type="processes",
    summary="The processes of this workspace, newest first, of every worker.",
    request=ProcessesRequest,
    result=ProcessesResult,
    run=list_processes,
    time_limit=TimeLimit.READ,
)
