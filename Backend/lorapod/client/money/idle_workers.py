"""Whether a worker is left on after a training, and costs money without a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorapod.platform.client import RunpodPlatform
from lorapod.platform.models import EndpointWorker, WorkerCondition

#: Between two looks.
INTERVAL_S = 15.0


@dataclass(frozen=True, kw_only=True)
class WorkersLeftOn:
    """What is on after a training."""

    #: How many workers the endpoint keeps on at all times.
    active: int = 0
    #: Workers that are on without a job.
    idle: Sequence[EndpointWorker] = ()
    #: Workers that run another job.
    busy: Sequence[EndpointWorker] = ()


def workers_left_on(
    platform: RunpodPlatform,
    endpoint_id: str,
    *,
    after_s: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> WorkersLeftOn:
    """Return what is still on `after_s` from now; return earlier if active workers are kept, or if no worker is on.

    Raises:
        PlatformError: RunPod does not say.
    """
    deadline = clock() + after_s
    while True:
        if (active := platform.endpoint(endpoint_id).workers.min) > 0:
            return WorkersLeftOn(active=active)
        # A throttled worker waits for a machine: it costs nothing.
        on = [
            worker
            for worker in platform.workers(endpoint_id)
            if worker.status is not WorkerCondition.THROTTLED
        ]
        left_s = deadline - clock()
        if not on or left_s <= 0:
            busy = [worker for worker in on if worker.status is WorkerCondition.RUNNING]
            return WorkersLeftOn(idle=[worker for worker in on if worker not in busy], busy=busy)
        sleep(min(INTERVAL_S, left_s))
