"""Which of two endpoints a request goes to: the one with GPUs, or its front door without one, on the same volume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lorapod.client.errors import EndpointError, JobNotFound
from lorapod.client.job import QueueJob
from lorapod.client.transport import Transport
from lorapod.wire.front_door import is_for_front_door

#: Asks one endpoint about a job.
AskAboutJob = Callable[[Transport], Awaitable[dict[str, Any]]]


class EndpointRoutes:
    """The way to one endpoint and to its front door, if it has one; safe to use from several threads."""

    def __init__(self, main: Transport, front_door: Transport | None = None) -> None:
        """Send everything to `main` if there is no front door."""
        self.main = main
        self.front_door = front_door
        #: Jobs of the front door that had not ended when they were seen last.
        self._jobs: set[str] = set()

    async def submit(self, request: Mapping[str, Any], post: AskAboutJob) -> QueueJob:
        """Submit a job to the endpoint that can do it.

        Raises:
            EndpointError: that endpoint does not take it.
        """
        door = self.front_door
        if door is None or not is_for_front_door(request):
            return QueueJob.read(await post(self.main))
        try:
            job = QueueJob.read(await post(door))
        except EndpointError as error:
            error.hint = f"{error.hint} {_HINT}".strip()
            raise
        return self._seen(job)

    async def about(self, job_id: str, ask: AskAboutJob) -> QueueJob:
        """Ask about a job wherever it is; one of an earlier client is looked for on both endpoints.

        Raises:
            JobNotFound: neither endpoint knows it.
            EndpointError: no answer came.
        """
        door = self.front_door
        if door is None:
            return QueueJob.read(await ask(self.main))
        if job_id in self._jobs:
            return self._seen(QueueJob.read(await ask(door)))
        try:
            return QueueJob.read(await ask(self.main))
        except JobNotFound:
            return self._seen(QueueJob.read(await ask(door)))

    def _seen(self, job: QueueJob) -> QueueJob:
        if job.status.ended:
            self._jobs.discard(job.job_id)
        else:
            self._jobs.add(job.job_id)
        return job


_HINT = (
    "This request goes to the front door, the CPU endpoint of `lorapod deploy --front-door cpu`. If it is gone, run that again; "
    "LORAPOD_FRONT_DOOR=none sends everything to the endpoint with GPUs."
)
