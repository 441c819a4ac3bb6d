"""What an error that ends a process is in its record."""

from __future__ import annotations

from lorapod.errors import WorkerError
from lorapod.library_errors import system_error
from lorapod.trainers.port import Failure


def failure_of(error: OSError | WorkerError, what: str) -> Failure:
    """The failure; `what` says in half a sentence what could not be done, where the error is the system's."""
    told = error if isinstance(error, WorkerError) else system_error(error, what)
    return Failure(code=told.code, message=told.message, hint=told.hint)
