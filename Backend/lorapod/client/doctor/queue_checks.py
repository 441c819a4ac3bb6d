"""Jobs that wait, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorapod.client.doctor.examination import Examination, QueueState
from lorapod.client.doctor.finding import Finding, note, ok, problem
from lorapod.platform.models import EndpointGpu, GpuType, Stock, WorkerCondition


def queue_findings(seen: Examination) -> Iterator[Finding]:
    """Say why jobs wait, if some do."""
    queue = seen.queue
    if queue is None:
        return
    if queue.in_queue == 0 or queue.in_progress > 0:
        yield _busy(queue)
        return
    waiting = f"{queue.in_queue} job(s) wait and none runs"
    conditions = {worker.status for worker in seen.workers or ()}
    if seen.endpoint.workers.max == 0:
        yield problem("queue", f"{waiting}: max workers is 0.", mend="lorapod doctor --fix")
    elif WorkerCondition.UNHEALTHY in conditions:
        yield problem(
            "queue", f"{waiting}: workers do not become ready.", mend="See what is said of the workers."
        )
    elif conditions & {WorkerCondition.IDLE, WorkerCondition.RUNNING, WorkerCondition.INITIALIZING}:
        yield note("queue", f"{waiting} yet: a worker is starting or about to take one.")
    elif WorkerCondition.THROTTLED in conditions or _is_sold_out(seen):
        pools = ", ".join(seen.endpoint.gpu.pools) if seen.endpoint.gpu is not None else "CPU machines"
        places = ", ".join(seen.endpoint.data_center_ids) or "any data center"
        yield problem(
            "queue",
            f"{waiting}: no machine is free ({pools} in {places}).",
            mend="lorapod deploy --max-price PRICE allows more GPUs; or wait",
        )
    else:
        yield note("queue", f"{waiting} yet: RunPod has started no worker so far.", mend="lorapod doctor")


def local_queue_findings(queue: QueueState) -> Iterator[Finding]:
    """Say the same of an endpoint on this machine."""
    if queue.in_queue > 0 and queue.in_progress == 0 and not any(queue.workers.values()):
        yield problem(
            "queue",
            f"{queue.in_queue} job(s) wait and no worker runs: workers end during their start.",
            mend="Look at the output of `lorapod endpoint`.",
        )
    else:
        yield _busy(queue)


def _busy(queue: QueueState) -> Finding:
    if queue.in_queue > 0:
        return note("queue", f"{queue.in_queue} job(s) wait behind {queue.in_progress} that run.")
    return ok("queue", f"No job waits; {queue.in_progress} run.")


def _is_sold_out(seen: Examination) -> bool:
    gpu = seen.endpoint.gpu
    return (
        gpu is not None and seen.gpus is not None and not _free(gpu, seen.gpus, seen.endpoint.data_center_ids)
    )


def _free(gpu: EndpointGpu, types: Sequence[GpuType], data_centers: Sequence[str]) -> bool:
    """Return whether one of the endpoint's GPUs is free in one of its data centers."""
    return any(
        place.availability is not Stock.NONE
        for each in types
        if each.pool in gpu.pools and each.id not in gpu.excluded_types
        for place in each.data_centers
        if not data_centers or place.id in data_centers
    )
