"""The errors of the client: all are a `LorapodError`.

```
LorapodError                  what happened: `message`, `code`, and what to do about it: `hint`
├── EndpointError             the endpoint did not accept the request, or answered something else
│   ├── EndpointUnreachable   no connection, or it broke off
│   ├── Busy                  it asks to try again later (429) or failed (5xx)
│   ├── Unauthorized          the key is missing or wrong
│   ├── JobNotFound           no such job, or its result is no longer kept
│   ├── RequestTooLarge       the request is larger than the queue accepts
│   ├── UnexpectedAnswer      the worker's answer is not what this client understands
│   └── NoSuchBucket          there is no such volume at this address
├── JobError                  the job did not complete
│   ├── JobFailed             the worker answered with an error; `details` has each problem
│   │   ├── InvalidInputError invalid_input, unknown_type
│   │   ├── NotFoundError     not_found
│   │   └── ConflictError     conflict
│   ├── JobCancelled          it was cancelled
│   └── JobTimedOut           it ran longer than its policy allows
├── ProcessEnded              a process failed, was cancelled or was interrupted
├── WaitTimeout               the caller's timeout ended; the work continues
├── TransferFailed            a file did not arrive unchanged
├── LocalFileError            a file of this machine cannot be read or written (an OSError too)
│   └── LocalFileNotFound     there is no such file or folder, or nothing to send in it (a FileNotFoundError too)
├── WrongUrl                  a URL is not one of an endpoint (a ValueError too)
├── ClientClosed              the client was closed before the work ended
├── VolumeNotNamed            the volume, its data centre or its keys are not known
└── WorkerNeeded              the volume alone cannot answer, and no worker may be asked
```

Only commands raise these: `NoSuchObject` (an `EndpointError`: the volume has no such file), `NoPriceKnown` (`--max-cost` needs
a price), `DeployRefused` (a deployment that cannot be), `UploadStopped` (a person stopped an upload in the console).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from lorapod.wire.process import ProcessView


class LorapodError(Exception):
    """The base of all errors of the client.

    Attributes:
        message: what happened, in one sentence.
        code: the worker's error code, such as `invalid_input`; of what no worker reported, the client's own, such as
            `unreachable`.
        hint: what to do about it; empty if the message says it.
        details: one entry for each problem of a request, such as `{"field": "steps", "error": "is required"}`.
        retryable: whether the same request may succeed later.
    """

    retryable = False

    #: The code of errors of this class that name none.
    default_code: ClassVar[str] = "client_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.details = tuple(dict(detail) for detail in details)
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class EndpointError(LorapodError):
    """The endpoint did not accept the request."""

    default_code = "endpoint_error"


class EndpointUnreachable(EndpointError):
    """No connection to the endpoint, or it broke off before the answer."""

    default_code = "unreachable"

    retryable = True


class Busy(EndpointError):
    """The endpoint asks to try again later, or failed."""

    default_code = "busy"

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Unauthorized(EndpointError):
    """The endpoint does not accept the key."""

    default_code = "unauthorized"


class JobNotFound(EndpointError):
    """The endpoint does not know the job, or no longer keeps its result."""

    default_code = "job_not_found"


class RequestTooLarge(EndpointError):
    """The request is larger than the queue accepts."""

    default_code = "too_large"


class UnexpectedAnswer(EndpointError):
    """The answer is not what this client understands: it is newer or older than the worker, or something else answered."""

    default_code = "unexpected_answer"


class JobError(LorapodError):
    """The job did not complete; `job_id` is its id in the queue."""

    default_code = "job_failed"

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
        return self.code in {self.default_code, "upstream_error", "timeout"}


class InvalidInputError(JobFailed):
    """The worker refuses the request; `details` has one entry for each problem."""


class NotFoundError(JobFailed):
    """The worker has no such process or file."""


class ConflictError(JobFailed):
    """The request does not fit the present state of its process or dataset."""


class JobCancelled(JobError):
    """The job was cancelled."""

    default_code = "cancelled"


class JobTimedOut(JobError):
    """The job ran or waited longer than its policy allows."""

    default_code = "timeout"

    retryable = True


#: By the `reason` of a process.
_EARLY_ENDS = {
    "limit": "It has reached its limit.",
    "no_improvement": "It got no better.",
    "sweep": "Its sweep was cancelled.",
}


#: By its status, if there is no other reason.
_BY_STATUS = {"cancelled": "It was cancelled.", "interrupted": "Its worker was stopped or died."}


class VolumeNotNamed(LorapodError):
    """The volume, its data centre or its keys are not known."""

    default_code = "volume_not_named"


class WorkerNeeded(LorapodError):
    """The volume alone cannot answer this, and no worker may be asked."""

    default_code = "worker_needed"


class ProcessEnded(LorapodError):
    """A process failed, was cancelled or was interrupted; `process` is its status."""

    def __init__(self, process: ProcessView) -> None:
        self.process = process
        failure = process.failure
        super().__init__(
            f"{process.process_id} ended {process.status}: {failure.message if failure else _reason(process)}",
            code=failure.code if failure else process.status,
            hint=failure.hint if failure else "",
        )


def _reason(process: ProcessView) -> str:
    """Return why a process ended that did not fail."""
    if process.reason_detail:
        return process.reason_detail
    if process.reason is not None:
        return _EARLY_ENDS.get(process.reason, f"{process.reason}.")
    return _BY_STATUS.get(process.status, "No reason was recorded.")


class WaitTimeout(LorapodError):
    """The caller's timeout ended before the work did; the work continues.

    `job_id` and `process_id` name what to look at later, if they are known.
    """

    default_code = "timeout"

    def __init__(self, message: str, *, job_id: str | None = None, process_id: str | None = None) -> None:
        self.job_id = job_id
        self.process_id = process_id
        super().__init__(message)


class TransferFailed(LorapodError):
    """A file did not arrive unchanged."""

    default_code = "transfer_failed"


class LocalFileError(LorapodError, OSError):
    """A file or folder of this machine cannot be read or written."""

    default_code = "local_file"

    @classmethod
    def of(cls, error: OSError) -> LocalFileError:
        """Return the system's error as one of the client."""
        where = f"{error.filename}: " if error.filename else ""
        reason = (error.strerror or str(error) or type(error).__name__).rstrip(".")
        kind = LocalFileNotFound if isinstance(error, FileNotFoundError) else LocalFileError
        made = kind(f"{where}{reason}.")
        made.errno, made.strerror, made.filename = error.errno, error.strerror, error.filename
        return made


class LocalFileNotFound(LocalFileError, FileNotFoundError):
    """There is no such file or folder on this machine, or it has nothing that can be sent."""

    default_code = "local_file_not_found"


class WrongUrl(LorapodError, ValueError):
    """A URL is not one of an endpoint."""

    default_code = "wrong_url"


class ClientClosed(LorapodError):
    """The client was closed before the work ended."""

    default_code = "client_closed"

    def __init__(self) -> None:
        super().__init__(
            "The client was closed.",
            hint="What was started on the worker continues; make a new client to follow it.",
        )
