"""A job of the queue, as the endpoint reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lorapod.client.errors import EndpointError, JobCancelled, JobTimedOut
from lorapod.client.failed_job import job_failed


class JobStatus(StrEnum):
    """RunPod's job states."""

    #: The job waits for a worker.
    IN_QUEUE = "IN_QUEUE"
    #: A worker runs it; `output` is its newest progress update.
    IN_PROGRESS = "IN_PROGRESS"
    #: `output` is the answer.
    COMPLETED = "COMPLETED"
    #: `error` says why; `output` may hold the worker's code, hint and details.
    FAILED = "FAILED"
    #: The job was cancelled.
    CANCELLED = "CANCELLED"
    #: The job ran or waited longer than its policy allows.
    TIMED_OUT = "TIMED_OUT"

    @property
    def ended(self) -> bool:
        """Return whether the job has ended."""
        return self not in {JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS}


@dataclass(frozen=True, kw_only=True)
class QueueJob:
    """A job at one moment."""

    job_id: str
    status: JobStatus
    output: Any = None
    error: Any = None
    #: How long it waited for a worker; None while it waits.
    delay_s: float | None = None
    #: How long it ran; None until it ends.
    execution_s: float | None = None

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> QueueJob:
        """Read the job from an endpoint's answer.

        Raises:
            EndpointError: the answer is not one of a queue.
        """
        try:
            return cls(
                job_id=str(answer["id"]),
                status=JobStatus(answer["status"]),
                output=answer.get("output"),
                error=answer.get("error"),
                delay_s=_seconds(answer.get("delayTime")),
                execution_s=_seconds(answer.get("executionTime")),
            )
        except (KeyError, ValueError) as error:
            raise EndpointError(
                "The answer is not a job: is this the URL of a queue endpoint, such as https://api.runpod.ai/v2/<endpoint id>?"
            ) from error

    def result(self) -> Any:
        """Return the answer of a job that has ended.

        Raises:
            JobError: the job failed, timed out or was cancelled.
        """
        match self.status:
            case JobStatus.COMPLETED:
                return self.output
            case JobStatus.CANCELLED:
                raise JobCancelled(f"Job {self.job_id} was cancelled.", job_id=self.job_id)
            case JobStatus.TIMED_OUT:
                raise JobTimedOut(
                    f"Job {self.job_id} ran longer than its policy allows.",
                    job_id=self.job_id,
                    code="timeout",
                )
            case _:
                raise job_failed(self.job_id, self.error, self.output)


def _seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None
