"""The connection of one worker: its open polls, stop signals and heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from lorapod.endpoint.jobs import EndpointJob

#: How long a stop signal waits after its job was handed to the worker. The SDK queues a job first and
#: starts its task up to 0.1 s later; it drops a stop signal that comes in between, and the job continues.
#: A second signal would not help: it would interrupt the handler's own clean-up.
STOP_SIGNAL_DELAY_S = 0.5

#: How long to hold a poll of a worker that is being stopped, so that it does not poll in a tight loop.
DRAINING_HOLD_S = 1.0


class WorkerChannel:
    """The messages from and to one worker process. Belongs to one event loop."""

    def __init__(self, worker_id: str, *, hold_s: float, monotonic: Callable[[], float]) -> None:
        """Create the channel of a worker that has just been started."""
        self.worker_id = worker_id
        self.started_at = monotonic()
        #: Whether it has asked for a job, so its start-up is over.
        self.ready = False
        #: Whether it is being stopped and gets no more jobs.
        self.draining = False
        self.last_ping_at: float | None = None
        self.last_poll_at: float | None = None
        #: Jobs that have ended for their callers while the worker still cleans up after them.
        self.winding_down: set[str] = set()
        #: When it last had a job, or became ready.
        self.last_busy_at = self.started_at
        self._hold_s = hold_s
        self._monotonic = monotonic
        self._polls: set[asyncio.Timeout] = set()
        self._stops: dict[str, float] = {}
        self._stop_event = asyncio.Event()
        self._missing: frozenset[str] = frozenset()

    @asynccontextmanager
    async def poll(self) -> AsyncIterator[None]:
        """Limit the time of a poll; TimeoutError means that there is nothing to send."""
        async with asyncio.timeout(DRAINING_HOLD_S if self.draining else self._hold_s) as limit:
            self._polls.add(limit)
            try:
                yield
            finally:
                self._polls.discard(limit)

    def drain(self) -> None:
        """Hand out no more jobs, and end the open polls: the SDK exits only after them."""
        self.draining = True
        now = asyncio.get_running_loop().time()
        for limit in self._polls:
            limit.reschedule(now)

    async def drained(self) -> None:
        """Wait until the poll is cancelled."""
        await asyncio.get_running_loop().create_future()

    def polled(self) -> None:
        """Note that the worker asked for a job, so it has read the last answer."""
        self.last_poll_at = self._monotonic()
        if not self.ready:
            self.ready = True
            self.last_busy_at = self.last_poll_at

    def stop_job(self, job: EndpointJob) -> None:
        """Send a stop signal for a job that this worker runs."""
        self.winding_down.add(job.id)
        self._stops[job.id] = (job.started_at or 0.0) + STOP_SIGNAL_DELAY_S
        self._stop_event.set()

    async def stops(self) -> list[str]:
        """Wait for jobs to stop and return them; they stay pending until `stops_sent`."""
        while True:
            now = self._monotonic()
            due = [job_id for job_id, not_before in self._stops.items() if not_before <= now]
            if due:
                return due
            if self._stops:
                await asyncio.sleep(max(0.01, min(self._stops.values()) - now))
            else:
                self._stop_event.clear()
                await self._stop_event.wait()

    def pending_stops(self) -> list[str]:
        """Return all jobs whose stop signal was not sent yet."""
        return list(self._stops)

    def stops_sent(self, job_ids: Iterable[str]) -> None:
        """Note that the stop signals of these jobs were sent."""
        for job_id in job_ids:
            self._stops.pop(job_id, None)

    def pinged(self, reported: frozenset[str], running: Iterable[EndpointJob]) -> list[EndpointJob]:
        """Note a heartbeat; return the jobs among `running` that the worker has lost.

        A job is lost if two heartbeats in a row do not name it although the worker has asked for the next
        job since: the job never arrived (the connection broke with the answer in it), or its result could
        not be sent. A worker whose event loop is blocked has not asked again, and may still run the job.
        """
        asked_at = self.last_poll_at or self.started_at
        missing = {
            job.id: job
            for job in running
            if job.id not in reported and job.started_at is not None and job.started_at < asked_at
        }
        lost = [job for job_id, job in missing.items() if job_id in self._missing]
        self._missing = frozenset(missing)
        self.last_ping_at = self._monotonic()
        self.winding_down &= reported
        return lost
