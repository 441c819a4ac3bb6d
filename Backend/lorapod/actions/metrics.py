"""`metrics`: the curves of a training."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.errors import TooLarge
from lorapod.processes.manager import RealProcessManager
from lorapod.thread_pools import READS
from lorapod.volume.curves import last_logged_step, read_curves
from lorapod.volume.requests import MetricsRequest
from lorapod.wire.model import ProcessId, Result
from lorapod.workspace import Workspace

#: As JSON a point takes about 40 bytes.
MAX_POINTS = 200_000


class MetricsResult(Result):
    """Curves by name."""

    process_id: ProcessId = Field(description="The process.")
    series: dict[str, list[tuple[int, float]]] = Field(description="For each key, pairs of step and value.")
    last_step: int | None = Field(default=None, description="The last step that was logged.")


async def metrics(
    request: MetricsRequest, *, processes: RealProcessManager, workspace: Workspace
) -> MetricsResult:
    """Read the trainer's own log of losses, and what the worker has measured."""
    return await READS.run(_read, request, processes, workspace)


def _read(request: MetricsRequest, processes: RealProcessManager, workspace: Workspace) -> MetricsResult:
    record = processes.get(request.process_id)
    series = read_curves(
        record, workspace, keys=request.keys, since_step=request.since_step, stride=request.stride
    )
    points = sum(map(len, series.values()))
    if points > MAX_POINTS:
        raise TooLarge(
            f"The series have {points} points; one answer holds {MAX_POINTS}.",
            hint="Ask for fewer keys, a larger stride, or from a later step on.",
        )
    return MetricsResult(
        process_id=record.process_id, series=series, last_step=last_logged_step(record, workspace)
    )


ACTION = Action(
    type="metrics",
    summary="Loss, learning rate and other curves of a training.",
    request=MetricsRequest,
    result=MetricsResult,
    run=metrics,
    time_limit=TimeLimit.READ,
)
