"""All jobs of an endpoint: queued, running, and ended ones whose results are kept."""

from __future__ import annotations

import asyncio
import heapq
import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lorapod.endpoint.jobs import EndpointJob, JobState
from lorapod.endpoint.limits import EndpointLimits, Policy
from lorapod.endpoint.queue import JobQueue
from lorapod.endpoint.rawjson import RawJson

log = logging.getLogger(__name__)


class UnknownJob(LookupError):
    """There is no job with that id, or its result is no longer kept."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job as its caller submits it."""

    input: RawJson
    policy: Policy = field(default_factory=Policy)
    webhook: str | None = None
    s3_config: RawJson | None = None
    #: Whether it was submitted by `/runsync`.
    sync: bool = False


@dataclass(kw_only=True)
class Counters:
    """The counts of jobs since the endpoint started, for `/health`."""

    completed: int = 0
    failed: int = 0
    retried: int = 0


class JobRegistry:
    """Every job of the endpoint. Not thread-safe: it belongs to one event loop."""

    def __init__(
        self,
        *,
        limits: EndpointLimits,
        monotonic: Callable[[], float],
        on_end: Callable[[EndpointJob], None],
        on_stop: Callable[[EndpointJob], None],
    ) -> None:
        """Create an empty registry.

        Args:
            limits: lifetimes and the number of attempts.
            monotonic: the clock, in seconds; a test gives its own.
            on_end: called once for each job that reached a final state.
            on_stop: called for a job that was cancelled or timed out while a worker ran it.
        """
        self.limits = limits
        self.counters = Counters()
        self._monotonic = monotonic
        self._on_end = on_end
        self._on_stop = on_stop
        self._jobs: dict[str, EndpointJob] = {}
        self._queue = JobQueue()
        self._running: dict[str, set[str]] = {}
        self._streams: dict[str, list[RawJson]] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._deadlines: list[tuple[float, str]] = []

    def submit(self, submission: Submission) -> EndpointJob:
        """Put a new job into the queue."""
        now = self._monotonic()
        policy = submission.policy
        timeout_ms, ttl_ms = policy.execution_timeout_ms, policy.ttl_ms
        job = EndpointJob(
            id=f"{'sync-' if submission.sync else ''}{uuid.uuid4()}",
            input=submission.input,
            s3_config=submission.s3_config,
            webhook=submission.webhook,
            low_priority=policy.low_priority,
            submitted_at=now,
            expires_at=now + (self.limits.ttl_s if ttl_ms is None else ttl_ms / 1000),
            execution_timeout_s=self.limits.execution_timeout_s if timeout_ms is None else timeout_ms / 1000,
            kept_s=self.limits.runsync_kept_s if submission.sync else self.limits.run_kept_s,
        )
        self._ends[job.id] = asyncio.Event()
        self._keep(job)
        self._queue.put(job.id)
        return job

    def get(self, job_id: str) -> EndpointJob:
        """Return the job.

        Raises:
            UnknownJob: there is no such job, or it is no longer kept.
        """
        try:
            return self._jobs[job_id]
        except KeyError:
            raise UnknownJob(job_id) from None

    def queued(self) -> list[EndpointJob]:
        """Return the queued jobs, the next first."""
        return [self._jobs[job_id] for job_id in self._queue.ids()]

    def running(self, worker_id: str | None = None) -> list[EndpointJob]:
        """Return the running jobs of one worker, or of all."""
        workers = self._running if worker_id is None else [worker_id]
        return [self._jobs[job_id] for worker in workers for job_id in self._running.get(worker, ())]

    async def take(self, worker_id: str, limit: int) -> list[EndpointJob]:
        """Wait for a job and hand up to `limit` jobs to a worker; safe to cancel."""
        ids = await self._queue.take(limit)
        now = self._monotonic()
        taken = [self._jobs[job_id].taken(worker_id, now) for job_id in ids]
        for job in taken:
            self._running.setdefault(worker_id, set()).add(job.id)
            self._keep(job)
        return taken

    def give_back(self, jobs: Iterable[EndpointJob]) -> None:
        """Queue jobs again that never reached their worker; this does not count as an attempt."""
        for job in jobs:
            if job.worker_id is not None and self.get(job.id).runs_on(job.worker_id):
                self._requeue(self.get(job.id), counts=False)

    def progress(self, worker_id: str, job_id: str, output: RawJson) -> bool:
        """Store a progress update; return False if that worker no longer runs the job."""
        job = self.get(job_id)
        if not job.runs_on(worker_id):
            return False
        self._jobs[job_id] = job.progressed(output)
        return True

    def stream(self, worker_id: str, job_id: str, piece: RawJson) -> bool:
        """Store a piece of a generator's output; return False if that worker no longer runs the job."""
        if not self.get(job_id).runs_on(worker_id):
            return False
        self._streams.setdefault(job_id, []).append(piece)
        return True

    def drain_stream(self, job_id: str) -> list[RawJson]:
        """Return, and forget, the pieces that no caller has read yet."""
        return self._streams.pop(job_id, [])

    def finish(self, worker_id: str, job_id: str, *, output: RawJson | None, error: str | None) -> bool:
        """End a job with its handler's result; return False if that worker no longer runs it."""
        job = self.get(job_id)
        if not job.runs_on(worker_id):
            return False
        self._end(job, JobState.COMPLETED if error is None else JobState.FAILED, output=output, error=error)
        return True

    def cancel(self, job_id: str) -> EndpointJob:
        """Cancel a job; a job that has ended does not change.

        Raises:
            UnknownJob: there is no such job, or it is no longer kept.
        """
        job = self.get(job_id)
        if not job.is_final:
            self._end(job, JobState.CANCELLED)
        return self.get(job_id)

    def purge(self) -> int:
        """Cancel every queued job; return how many."""
        waiting = self.queued()
        for job in waiting:
            self._end(job, JobState.CANCELLED, error="the queue was purged")
        return len(waiting)

    def worker_lost(self, worker_id: str, reason: str) -> None:
        """Queue or fail the jobs of a worker that has ended."""
        for job in self.running(worker_id):
            self.attempt_lost(job, reason)
        self._running.pop(worker_id, None)

    def attempt_lost(self, job: EndpointJob, reason: str) -> None:
        """Queue a lost job again, or fail it after its last attempt."""
        if job.attempts >= self.limits.max_attempts:
            self._end(job, JobState.FAILED, error=f"{reason}; given up after {job.attempts} attempts")
            return
        log.warning("job is queued again: %s", reason, extra={"job_id": job.id, "worker_id": job.worker_id})
        self.counters.retried += 1
        self._requeue(job, counts=True)

    def tick(self) -> None:
        """Time jobs out and forget old results; call it often."""
        now = self._monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, job_id = heapq.heappop(self._deadlines)
            job = self._jobs.get(job_id)
            if job is None or job.deadline > now:
                continue
            if job.is_final:
                self._forget(job)
            elif now >= job.expires_at:
                self._end(job, JobState.TIMED_OUT, error="the job exceeded its time to live (policy.ttl)")
            else:
                self._end(
                    job,
                    JobState.TIMED_OUT,
                    error=f"the job ran longer than its execution timeout of {job.execution_timeout_s:g} s",
                )

    async def wait_end(self, job_id: str, timeout_s: float) -> EndpointJob:
        """Return the job once it has ended, or as it is after `timeout_s`."""
        event = self._ends.get(job_id)
        if event is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await event.wait()
            except TimeoutError:
                pass
        return self.get(job_id)

    def _keep(self, job: EndpointJob) -> None:
        self._jobs[job.id] = job
        heapq.heappush(self._deadlines, (job.deadline, job.id))

    def _requeue(self, job: EndpointJob, *, counts: bool) -> None:
        self._leave_worker(job)
        self._streams.pop(job.id, None)
        self._keep(job.requeued(counts=counts))
        self._queue.put_back(job.id)

    def _end(
        self, job: EndpointJob, state: JobState, *, output: RawJson | None = None, error: str | None = None
    ) -> None:
        was_running = job.state is JobState.IN_PROGRESS
        self._queue.discard(job.id)
        self._leave_worker(job)
        ended = job.ended(state, self._monotonic(), output=output, error=error)
        self._keep(ended)
        self.counters.completed += state is JobState.COMPLETED
        self.counters.failed += state in (JobState.FAILED, JobState.TIMED_OUT)
        self._ends.pop(job.id).set()
        if was_running and state in (JobState.CANCELLED, JobState.TIMED_OUT):
            self._on_stop(ended)
        self._on_end(ended)

    def _leave_worker(self, job: EndpointJob) -> None:
        if job.worker_id is not None:
            self._running.get(job.worker_id, set()).discard(job.id)

    def _forget(self, job: EndpointJob) -> None:
        del self._jobs[job.id]
        self._streams.pop(job.id, None)
