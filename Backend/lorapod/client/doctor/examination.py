"""Everything that the doctor looks at, read once; nothing is changed and no worker is woken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from lorapod.client.client import Client
from lorapod.client.doctor.causes import fit_to_show
from lorapod.client.doctor.finding import Finding, note
from lorapod.client.errors import LorapodError
from lorapod.client.project_file import ProjectFile
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import PlatformError
from lorapod.platform.models import (
    EndpointRelease,
    EndpointWorker,
    GpuType,
    NetworkVolume,
    ServerlessEndpoint,
    WorkerCondition,
)

T = TypeVar("T")

#: Each log takes two seconds.
_LOGS = 3
_LOG_LINES = 60

#: How long a worker that is up may take to report its health.
_HEALTH_S = 20.0

#: Workers whose logs say why no job starts.
_NOT_UP = frozenset({WorkerCondition.UNHEALTHY, WorkerCondition.INITIALIZING})
_UP = frozenset({WorkerCondition.IDLE, WorkerCondition.RUNNING})


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """What an endpoint's queue says of itself."""

    in_queue: int
    in_progress: int
    #: Workers by state; only the local endpoint has no other list.
    workers: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was read; None: it could not be read, and `unread` says why."""

    endpoint: ServerlessEndpoint
    project: ProjectFile
    workers: Sequence[EndpointWorker] | None = None
    releases: Sequence[EndpointRelease] | None = None
    volumes: Sequence[NetworkVolume] | None = None
    #: Read only if a job waits and no worker is there.
    gpus: Sequence[GpuType] | None = None
    queue: QueueState | None = None
    #: The answer of a worker that was up.
    health: Mapping[str, Any] | None = None
    #: Lines by worker, without secrets.
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: Sequence[Finding] = ()


class _Reader:
    """Reads parts, and notes those that cannot be read."""

    def __init__(self) -> None:
        self.unread: list[Finding] = []

    def read(self, check: str, what: Callable[[], T]) -> T | None:
        try:
            return what()
        except (PlatformError, LorapodError) as error:
            self.unread.append(note(check, f"This could not be looked at: {error.message}", mend=error.hint))
            return None


def examine(
    platform: RunpodPlatform, endpoint: ServerlessEndpoint, project: ProjectFile, queue: Client
) -> Examination:
    """Read everything about an endpoint."""
    reader = _Reader()
    workers = reader.read("workers", lambda: platform.workers(endpoint.id))
    state = reader.read("queue", lambda: queue_state(queue))
    conditions = {worker.status for worker in workers or ()}
    waits = state is not None and state.in_queue > 0
    health, gpus = None, None
    if conditions & _UP:
        health = reader.read("worker", lambda: queue.call("health", timeout_s=_HEALTH_S))
    elif waits and not workers and endpoint.gpu is not None:
        floor = endpoint.gpu.min_cuda_version
        gpus = reader.read("queue", lambda: platform.gpu_types(min_cuda_version=floor))
    return Examination(
        endpoint=endpoint,
        project=project,
        workers=workers,
        releases=reader.read("releases", lambda: platform.releases(endpoint.id)),
        volumes=reader.read("volume", platform.volumes),
        gpus=gpus,
        queue=state,
        health=health,
        logs=_logs(platform, endpoint, workers or (), reader),
        unread=reader.unread,
    )


def queue_state(queue: Client) -> QueueState:
    """Return the counts of a queue.

    Raises:
        LorapodError: it does not answer.
    """
    answer = queue.health()
    jobs, workers = answer.get("jobs") or {}, answer.get("workers") or {}
    return QueueState(
        in_queue=int(jobs.get("inQueue", 0)), in_progress=int(jobs.get("inProgress", 0)), workers=workers
    )


def _logs(
    platform: RunpodPlatform,
    endpoint: ServerlessEndpoint,
    workers: Iterable[EndpointWorker],
    reader: _Reader,
) -> dict[str, tuple[str, ...]]:
    # A variable's value in a log may be secret; short ones are words such as `true`.
    secrets = [value for value in endpoint.env.values() if len(value) >= 8 and not value.isalpha()]
    logs = {}
    for worker in [worker for worker in workers if worker.status in _NOT_UP][:_LOGS]:
        log = partial(platform.worker_log, endpoint.id, worker.id, lines=_LOG_LINES)
        lines = reader.read("workers", log)
        if lines:
            logs[worker.id] = tuple(fit_to_show(line.line, secrets) for line in lines)
    return logs
