"""Turn an error into the failure that a record keeps."""

from __future__ import annotations

from lorapod.errors import WorkerError
from lorapod.library_errors import system_error
from lorapod.records.progress import Failure


def failure_of(error: OSError | WorkerError, what: str) -> Failure:
    """Return the failure; `what` says what could not be done, for errors of the operating system."""
    told = error if isinstance(error, WorkerError) else system_error(error, what)
    return Failure(code=told.code, message=told.message, hint=told.hint, details=told.details)
