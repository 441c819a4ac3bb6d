"""The errors of the client.

```
LorapodError                what happened
├── EndpointError           the endpoint did not accept the request
│   ├── EndpointUnreachable no connection, or it broke off
│   ├── Busy                it asks to try again later (429) or failed (5xx)
│   ├── Unauthorized        the key is missing or wrong
│   ├── JobNotFound         no such job, or its result is no longer kept
│   └── RequestTooLarge     the request is larger than the queue accepts
├── JobError                the job did not complete
│   ├── JobFailed           the worker answered with an error: see `code`, `hint`, `details`
│   │   ├── InvalidInputError invalid_input, unknown_type
│   │   ├── NotFoundError     not_found
│   │   └── ConflictError     conflict
│   ├── JobCancelled        it was cancelled
│   └── JobTimedOut         it ran longer than its policy allows
├── VolumeNotNamed          the volume, its data centre or its keys are not known
├── WorkerNeeded            the volume alone cannot answer, and no worker may be asked
├── ProcessEnded            a process failed, was cancelled or was interrupted
├── WaitTimeout             the caller's timeout ended; the work continues
└── TransferFailed          a file did not arrive unchanged
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


class LorapodError(Exception):
    """The base of all errors. `message` is one sentence; `code` is the worker's error code, if it sent one."""

    #: Whether the same request may succeed later.
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
    """The endpoint did not accept the request."""


class EndpointUnreachable(EndpointError):
    """No connection to the endpoint, or it broke off before the answer."""

    retryable = True


class Busy(EndpointError):
    """The endpoint asks to try again later, or failed."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Unauthorized(EndpointError):
    """The endpoint does not accept the key."""


class JobNotFound(EndpointError):
    """The endpoint does not know the job, or no longer keeps its result."""


class RequestTooLarge(EndpointError):
    """The request is larger than the queue accepts."""


class JobError(LorapodError):
    """The job did not complete; `job_id` is its id in the queue."""

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
    """The worker answered with an error, or it died with the job."""

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """Return whether the same request may succeed later."""
        return self.code in {None, "upstream_error", "timeout"}


class InvalidInputError(JobFailed):
    """The worker refuses the request; `details` has one entry for each problem."""


class NotFoundError(JobFailed):
    """The worker has no such process or file."""


class ConflictError(JobFailed):
    """The request does not fit the present state of its process or dataset."""


class JobCancelled(JobError):
    """The job was cancelled."""


class JobTimedOut(JobError):
    """The job ran or waited longer than its policy allows."""

    retryable = True


#: By the `reason` of a process.
_EARLY_ENDS = {
    "limit": "It has reached its limit.",
    "no_improvement": "It got no better.",
    "sweep": "Its sweep was cancelled.",
}


class VolumeNotNamed(LorapodError):
    """The volume, its data centre or its keys are not known."""


class WorkerNeeded(LorapodError):
    """The volume alone cannot answer this, and no worker may be asked."""


class ProcessEnded(LorapodError):
    """A process failed, was cancelled or was interrupted; `process` is its status."""

    def __init__(self, process: Mapping[str, Any]) -> None:
        self.process = dict(process)
        failure = self.process.get("failure") or {}
        super().__init__(
            f"{process['process_id']} ended {process['status']}: {failure.get('message') or _reason(process)}",
            code=failure.get("code"),
            hint=failure.get("hint", ""),
        )


def _reason(process: Mapping[str, Any]) -> str:
    """Return why a process ended that did not fail."""
    if detail := process.get("reason_detail"):
        return str(detail)
    if (reason := process.get("reason")) is not None:
        return _EARLY_ENDS.get(reason, f"{reason}.")
    return "It was cancelled." if process["status"] == "cancelled" else "No reason was recorded."


class WaitTimeout(LorapodError):
    """The caller's timeout ended before the work did; the work continues.

    `job_id` and `process_id` name what to look at later, if they are known.
    """

    def __init__(self, message: str, *, job_id: str | None = None, process_id: str | None = None) -> None:
        self.job_id = job_id
        self.process_id = process_id
        super().__init__(message)


class TransferFailed(LorapodError):
    """A file did not arrive unchanged."""


_BY_CODE: dict[str | None, type[JobFailed]] = {
    "invalid_input": InvalidInputError,
    "unknown_type": InvalidInputError,
    "not_found": NotFoundError,
    "conflict": ConflictError,
}


def job_failed(job_id: str, error: Any, output: Any) -> JobFailed:
    """Return the error of a FAILED job.

    Args:
        job_id: the queue's id of the job.
        error: the job's `error`: a sentence of the worker, or the JSON text that the RunPod SDK makes of an exception.
        output: the job's `output`: `{code, hint, details}`, which the SDK leaves when it removes `error`.
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
