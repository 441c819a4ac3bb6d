"""`logs`: the output of a process, a part at a time."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.processes.manager import RealProcessManager
from lorapod.thread_pools import READS
from lorapod.volume.log_part import read_log
from lorapod.volume.requests import LogsRequest
from lorapod.wire.model import ProcessId, Result
from lorapod.workspace import Workspace


class LogsResult(Result):
    """A part of a log."""

    process_id: ProcessId = Field(description="The process.")
    text: str = Field(description="The part; broken characters are replaced.")
    offset: int = Field(description="Where the text begins, in bytes.")
    next_offset: int = Field(description="Offset of the next part.")
    eof: bool = Field(
        description="Whether this is the end of the log of an ended process; while it runs, more may come."
    )


async def logs(request: LogsRequest, *, processes: RealProcessManager, workspace: Workspace) -> LogsResult:
    """Read the part from the workspace."""
    return await READS.run(_read, request, processes, workspace)


def _read(request: LogsRequest, processes: RealProcessManager, workspace: Workspace) -> LogsResult:
    record = processes.get(request.process_id)
    part = read_log(workspace.log_path(record.process_id), request.offset, request.limit)
    return LogsResult(
        process_id=record.process_id,
        text=part.text,
        offset=part.offset,
        next_offset=part.next_offset,
        eof=part.eof and record.status.final,
    )


ACTION = Action(
    type="logs",
    summary="The output of a process, from any byte on.",
    request=LogsRequest,
    result=LogsResult,
    run=logs,
    time_limit=TimeLimit.READ,
)
