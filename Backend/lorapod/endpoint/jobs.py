"""A job of the queue: its states, the transitions between them, and what each changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from lorapod.endpoint.rawjson import RawJson, dump, join_object


class JobState(StrEnum):
    """RunPod's job states."""

    #: Waits for a worker.
    IN_QUEUE = "IN_QUEUE"
    #: Handed to a worker.
    IN_PROGRESS = "IN_PROGRESS"
    #: The handler returned.
    COMPLETED = "COMPLETED"
    #: The handler answered `error`, its result was refused, or its workers died too often.
    FAILED = "FAILED"
    #: Cancelled by the caller, or purged from the queue.
    CANCELLED = "CANCELLED"
    #: Exceeded its execution timeout or its time to live.
    TIMED_OUT = "TIMED_OUT"


#: Which state may follow which; a state without followers is final.
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        JobState.IN_QUEUE: frozenset({JobState.IN_PROGRESS, JobState.CANCELLED, JobState.TIMED_OUT}),
        JobState.IN_PROGRESS: frozenset(
            {
                JobState.IN_QUEUE,
                JobState.COMPLETED,
                JobState.FAILED,
                JobState.CANCELLED,
                JobState.TIMED_OUT,
            }
        ),
        JobState.COMPLETED: frozenset(),
        JobState.FAILED: frozenset(),
        JobState.CANCELLED: frozenset(),
        JobState.TIMED_OUT: frozenset(),
    }
)


class ForbiddenTransition(Exception):
    """A job cannot change from its state to that one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointJob:
    """One job. Times are seconds of the endpoint's monotonic clock."""

    id: str
    #: The caller's `input`, unchanged.
    input: RawJson
    submitted_at: float
    #: When its time to live ends, whatever its state.
    expires_at: float
    #: How long one attempt may run.
    execution_timeout_s: float
    #: How long the result is kept after the end.
    kept_s: float
    s3_config: RawJson | None = None
    webhook: str | None = None
    low_priority: bool = False
    state: JobState = JobState.IN_QUEUE
    #: How often it was handed to a worker.
    attempts: int = 0
    worker_id: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    #: The newest progress update while it runs, then the result.
    output: RawJson | None = None
    error: str | None = None

    @property
    def is_final(self) -> bool:
        """Return whether its state is final."""
        return not TRANSITIONS[self.state]

    @property
    def deadline(self) -> float:
        """Return when it times out or, if it has ended, when it is removed."""
        if self.ended_at is not None:
            return self.ended_at + self.kept_s
        if self.started_at is not None:
            return min(self.expires_at, self.started_at + self.execution_timeout_s)
        return self.expires_at

    def runs_on(self, worker_id: str) -> bool:
        """Return whether that worker runs its present attempt; messages from others do not count."""
        return self.state is JobState.IN_PROGRESS and self.worker_id == worker_id

    def taken(self, worker_id: str, now: float) -> EndpointJob:
        """Return the job, handed to a worker."""
        return replace(
            self._to(JobState.IN_PROGRESS), worker_id=worker_id, started_at=now, attempts=self.attempts + 1
        )

    def progressed(self, output: RawJson) -> EndpointJob:
        """Return the job with its newest progress update."""
        return replace(self, output=output)

    def requeued(self, *, counts: bool) -> EndpointJob:
        """Return the job, back in the queue; `counts` says whether the attempt counts."""
        return replace(
            self._to(JobState.IN_QUEUE),
            worker_id=None,
            started_at=None,
            output=None,
            attempts=self.attempts if counts else self.attempts - 1,
        )

    def ended(
        self, state: JobState, now: float, *, output: RawJson | None = None, error: str | None = None
    ) -> EndpointJob:
        """Return the ended job; its result replaces the progress update.

        The input is dropped: it is not needed again, and may be large.
        """
        return replace(self._to(state), ended_at=now, output=output, error=error, input=b"null")

    def for_worker(self) -> list[RawJson]:
        """Return the answer of job-take, in pieces of JSON text."""
        members: dict[str, RawJson] = {"id": dump(self.id), "input": self.input}
        if self.s3_config is not None:
            members["s3Config"] = self.s3_config
        return join_object(members)

    def for_caller(self) -> list[RawJson]:
        """Return the answer of `/status`, in pieces of JSON text; times are in milliseconds."""
        members: dict[str, RawJson] = {"id": dump(self.id), "status": dump(self.state)}
        if self.started_at is not None:
            members["delayTime"] = dump(_milliseconds(self.started_at - self.submitted_at))
            if self.ended_at is not None:
                members["executionTime"] = dump(_milliseconds(self.ended_at - self.started_at))
        if self.worker_id is not None:
            members["workerId"] = dump(self.worker_id)
        if self.error is not None:
            members["error"] = dump(self.error)
        if self.output is not None:
            members["output"] = self.output
        return join_object(members)

    def _to(self, state: JobState) -> EndpointJob:
        if state not in TRANSITIONS[self.state]:
            raise ForbiddenTransition(f"job {self.id} cannot go from {self.state} to {state}")
        return replace(self, state=state)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
