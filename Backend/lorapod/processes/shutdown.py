"""The end of a worker's processes when the worker itself stops."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lorapod.deadline import Deadline
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.processes.supervisor import Supervisor

logger = logging.getLogger(__name__)

#: The part of a shutdown's time that is kept for killed children to be gone, in seconds.
KILL_GRACE_S = 2.0


def stop_all(supervisors: Sequence[Supervisor], deadline: Deadline) -> None:
    """Ask every process to stop with a checkpoint, then kill what still runs; log what is left at the deadline."""
    by_itself = deadline.reserving(KILL_GRACE_S)
    # Half of the time is for a checkpoint, the rest for the exit.
    request = StopRequest(reason=StopReason.SHUTDOWN, save=True, grace_s=by_itself.left_s / 2)
    for supervisor in supervisors:
        supervisor.stop(request)
    running = [each for each in supervisors if not each.join(by_itself.left_s)]
    for supervisor in running:
        supervisor.kill()
    if left := [each.record.process_id for each in running if not each.join(deadline.left_s)]:
        logger.warning("processes still run at the end of the shutdown", extra={"process_ids": left})
