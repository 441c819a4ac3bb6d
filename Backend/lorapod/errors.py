"""Errors as callers see them.

```
WorkerError                 code                  a person can
├── InvalidInput            invalid_input         correct the request
├── UnknownType             unknown_type          name another action
├── NotFound                not_found             check the id or the path
├── Conflict                conflict              look at the present state, then ask again
├── UnsafePath              unsafe_path           stay inside the workspace
├── UnsafeUrl               unsafe_url            give a public https URL
├── UnsafeArchive           unsafe_archive        repack the archive
├── TooLarge                too_large             send less, or in parts
├── InsufficientStorage     insufficient_storage  free disk
├── InsufficientMemory      insufficient_memory   take a larger machine
├── GpuUnavailable          gpu_unavailable       take a machine with a working GPU
├── OutOfMemory             out_of_memory         train smaller, or take a larger GPU
├── Unsupported             unsupported           ask for something that this worker can do
├── UpstreamError           upstream_error        try again: a service that the worker depends on failed
├── WorkerTimeout           timeout               try again, or allow more time
└── InternalError           internal              report it: a defect of the worker
```

A message says what happened, to what, and what to do; it carries no traceback and no secret.

No caller sees these: the code that starts the work handles them.

```
Exception
├── LeaseLost                     another worker holds what this one held           lease
├── IllegalTransition             a status that cannot follow the present one       processes.status
├── RecordExists                  a process id is taken                             processes.store
├── StateStoreUnavailable         an OSError: the store of records does not answer  processes.store
│   └── StateStoreRefused         it refuses this worker                            processes.store
├── TaskStopped, ChildFenced      a process was stopped, or lost its lease          processes.task
├── GenerationStopped             a generation was cancelled                        engines.port
├── DownloadStopped               a model's download was cancelled                  models.port
├── SinkUnavailable               an event sink does not answer                     events.port
├── TryAgain                      an HTTP request may succeed later                 safety.http_answers
└── UnboundAction                 an action names an unknown part of the worker     actions.binding
```
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar


class ErrorCode(StrEnum):
    """The closed list of `code` values that an answer can carry."""

    INVALID_INPUT = "invalid_input"
    UNKNOWN_TYPE = "unknown_type"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNSAFE_PATH = "unsafe_path"
    UNSAFE_URL = "unsafe_url"
    UNSAFE_ARCHIVE = "unsafe_archive"
    TOO_LARGE = "too_large"
    INSUFFICIENT_STORAGE = "insufficient_storage"
    INSUFFICIENT_MEMORY = "insufficient_memory"
    GPU_UNAVAILABLE = "gpu_unavailable"
    OUT_OF_MEMORY = "out_of_memory"
    UNSUPPORTED = "unsupported"
    UPSTREAM_ERROR = "upstream_error"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class WorkerError(Exception):
    """The worker could not do what was asked."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str | None = None, *, hint: str = "", details: Sequence[dict[str, Any]] = ()
    ) -> None:
        """Build the error.

        Args:
            message: one sentence for the caller; the class's docstring if left out.
            hint: what to do next, if the message does not say it already.
            details: one flat object for each single problem, e.g. `{"field": "steps", "error": "…"}`.
        """
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.hint = hint
        self.details = tuple(details)
        super().__init__(self.message)


class InvalidInput(WorkerError):
    """The request is not of the form that this action takes."""

    code = ErrorCode.INVALID_INPUT


class UnknownType(WorkerError):
    """There is no action of that type."""

    code = ErrorCode.UNKNOWN_TYPE


class NotFound(WorkerError):
    """What was asked for does not exist."""

    code = ErrorCode.NOT_FOUND


class Conflict(WorkerError):
    """The request does not fit the present state."""

    code = ErrorCode.CONFLICT


class UnsafePath(WorkerError):
    """The path leads outside the workspace."""

    code = ErrorCode.UNSAFE_PATH


class UnsafeUrl(WorkerError):
    """The URL is not one that this worker may fetch."""

    code = ErrorCode.UNSAFE_URL


class UnsafeArchive(WorkerError):
    """The archive holds something that this worker will not unpack."""

    code = ErrorCode.UNSAFE_ARCHIVE


class TooLarge(WorkerError):
    """The content is larger than this worker accepts."""

    code = ErrorCode.TOO_LARGE


class InsufficientStorage(WorkerError):
    """There is not enough free disk in the workspace."""

    code = ErrorCode.INSUFFICIENT_STORAGE
    retryable = True


class InsufficientMemory(WorkerError):
    """There is not enough free memory on this worker."""

    code = ErrorCode.INSUFFICIENT_MEMORY
    retryable = True


class GpuUnavailable(WorkerError):
    """This worker has no usable GPU."""

    code = ErrorCode.GPU_UNAVAILABLE
    retryable = True


class OutOfMemory(WorkerError):
    """The GPU or the machine ran out of memory."""

    code = ErrorCode.OUT_OF_MEMORY


class Unsupported(WorkerError):
    """This worker cannot do that."""

    code = ErrorCode.UNSUPPORTED


class UpstreamError(WorkerError):
    """A service that this worker depends on failed."""

    code = ErrorCode.UPSTREAM_ERROR
    retryable = True


class WorkerTimeout(WorkerError):
    """The work did not finish in time."""

    code = ErrorCode.TIMEOUT
    retryable = True


class InternalError(WorkerError):
    """The worker has a defect; its log has the details."""

    code = ErrorCode.INTERNAL


def error_of(
    code: ErrorCode, message: str, *, hint: str = "", details: Sequence[dict[str, Any]] = ()
) -> WorkerError:
    """Return the error of a code, as a record stores it."""
    kind = next(kind for kind in WorkerError.__subclasses__() if kind.code is code)
    return kind(message, hint=hint, details=details)
