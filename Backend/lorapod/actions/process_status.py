"""`process_status`: everything that is known of one process."""

from __future__ import annotations

from lorapod.actions.action import Action, TimeLimit
from lorapod.actions.process_view import view
from lorapod.processes.manager import RealProcessManager
from lorapod.thread_pools import READS
from lorapod.volume.curves import latest_values
from lorapod.volume.log_part import read_log_tail
from lorapod.volume.requests import ProcessStatusRequest
from lorapod.wire.process import ProcessView
from lorapod.workspace import Workspace


async def process_status(
    request: ProcessStatusRequest, *, processes: RealProcessManager, workspace: Workspace
) -> ProcessView:
    """Answer from RAM or the record, and from the process's folder."""
    return await READS.run(_read, request, processes, workspace)


def _read(request: ProcessStatusRequest, processes: RealProcessManager, workspace: Workspace) -> ProcessView:
    record = processes.get(request.process_id)
    return view(
        record,
        workspace,
        log_tail=read_log_tail(workspace.log_path(record.process_id), request.log_tail)
        if request.log_tail
        else None,
        metrics=latest_values(record, workspace) if request.metrics else None,
    )


ACTION = Action(
    type="process_status",
    summary="Everything that is known of one process: state, progress, failure, files.",
    request=ProcessStatusRequest,
    result=ProcessView,
    run=process_status,
    time_limit=TimeLimit.READ,
)
