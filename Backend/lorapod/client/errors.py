"""What can go wrong on the caller's side.

```
LorapodError                what happened
├── EndpointError           the endpoint did not take the request
│   ├── EndpointUnreachable no connection, or it broke off
│   ├── Busy                it asks to come back later (429) or is in trouble (5xx)
│   ├── Unauthorized        the key is missing or wrong
│   ├── JobNotFound         no such job, or its result is no longer kept
│   └── RequestTooLarge     the request is larger than the queue takes
├── JobError                the job did not end well
│   ├── JobFailed           the worker answered with an error: see `code`, `hint`, `details`
│   │   ├── InvalidInputError invalid_input, unknown_type
│   │   ├── NotFoundError     not_found
│   │   └── ConflictError     conflict
│   ├── JobCancelled        it was cancelled
│   └── JobTimedOut         it ran longer than its policy allows
├── ProcessEnded            a process that was waited for ended otherwise than `completed`
├── WaitTimeout             the caller's own patience ended; the work goes on
└── TransferFailed          a file did not arrive as it is
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


class LorapodError(Exception):
    """The base of all: `message` is one sentence, `code` is the worker's where it answered one."""

    #: Whether the same request may well succeed a little later.
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.message = message
        self.code = code
        self.hint = hint
        self.details = tuple(dict(detail) for detail in details)
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class EndpointError(LorapodError):
    """The endpoint did not take the request."""


class EndpointUnreachable(EndpointError):
    """No connection to the endpoint, or it broke off before the answer."""

    retryable = True


class Busy(EndpointError):
    """The endpoint asks to come back later, or is in trouble."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Unauthorized(EndpointError):
    """The endpoint does not accept the key."""


class JobNotFound(EndpointError):
    """The endpoint knows no such job, or no longer keeps its result."""


class RequestTooLarge(EndpointError):
    """The request is larger than the queue takes."""


class JobError(LorapodError):
    """The job did not end well; `job_id` is the queue's."""

    def __init__(
        self,
        message: str,
        *,
        job_id: str,
        code: str | None = None,
        hint: str = "",
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.job_id = job_id
        super().__init__(message, code=code, hint=hint, details=details)


class JobFailed(JobError):
    """The worker answered with an error, or was lost with the job."""

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """Whether it was the circumstances that failed, not the request."""
        return self.code in {None, "upstream_error", "timeout"}


class InvalidInputError(JobFailed):
    """The worker does not accept the request as it is; `details` has one entry for each problem."""


class NotFoundError(JobFailed):
    """The worker does not know the process or file."""


class ConflictError(JobFailed):
    """The request does not fit the present state."""


class JobCancelled(JobError):
    """The job was cancelled."""


class JobTimedOut(JobError):
    """The job ran or waited longer than its policy allows."""

    retryable = True


class ProcessEnded(LorapodError):
    """A process that was waited for ended otherwise than `completed`; `process` is its whole status."""

    def __init__(self, process: Mapping[str, Any]) -> None:
        self.process = dict(process)
        failure = self.process.get("failure") or {}
        reason = failure.get("message") or "No reason was recorded."
        super().__init__(
            f"{process['process_id']} ended {process['status']}: {reason}",
            code=failure.get("code"),
            hint=failure.get("hint", ""),
        )


class WaitTimeout(LorapodError):
    """The caller's patience ended before the work did; the work goes on.

    `job_id` and `process_id` say what to look for later, where they are known.
    """

    def __init__(self, message: str, *, job_id: str | None = None, process_id: str | None = None) -> None:
        self.job_id = job_id
        self.process_id = process_id
        super().__init__(message)


class TransferFailed(LorapodError):
    """A file did not arrive as it is."""


_BY_CODE: dict[str | None, type[JobFailed]] = {
    "invalid_input": InvalidInputError,
    "unknown_type": InvalidInputError,
    "not_found": NotFoundError,
    "conflict": ConflictError,
}


def job_failed(job_id: str, error: Any, output: Any) -> JobFailed:
    """The error behind a FAILED job.

    Args:
        job_id: the queue's id of the job.
        error: the job's `error`: the worker's sentence, or the JSON text that the RunPod SDK makes of an exception.
        output: the job's `output`: `{code, hint, details}`, which the SDK leaves there when it takes `error` out.
    """
    fields = output if isinstance(output, Mapping) else {}
    code = fields.get("code")
    return _BY_CODE.get(code, JobFailed)(
        _sentence(error) or "The job failed without a reason.",
        job_id=job_id,
        code=code,
        hint=fields.get("hint") or "",
        details=fields.get("details") or (),
    )


def _sentence(error: Any) -> str:
    if isinstance(error, str):
        try:
            error = json.loads(error)
        except ValueError:
            return str(error)
    if isinstance(error, Mapping):
        error = error.get("error_message") or error.get("message") or error.get("error") or ""
    return str(error)
