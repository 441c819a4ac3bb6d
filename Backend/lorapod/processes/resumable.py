"""Whether a process can be resumed now, and with how many steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from lorapod.errors import Conflict, InvalidInput, WorkerError
from lorapod.records.limits import Continuation
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus

#: Says whether a request with the key of a process resumes it.
TakesUp = Callable[[ProcessRecord], bool]


def is_unfinished(record: ProcessRecord) -> bool:
    """Return whether a process ended before its work was done."""
    return record.status.unfinished


def check_resumable(
    record: ProcessRecord, changes: Continuation, *, unasked: bool, asked: bool, now: datetime
) -> None:
    """Refuse a resume that is not possible in the state of the process.

    Args:
        record: the process.
        changes: what is to be different from now on.
        unasked: the worker resumes it by itself.
        asked: a person asks for it now; else the worker, or a RunPod job that is delivered again.
        now: the time.

    Raises:
        Conflict: it runs, it is completed and no steps are added, or (`unasked`) it is not interrupted any more.
        InvalidInput: it has no steps, or as many already; or the moment at which it ends has passed.
    """
    process_id, status, steps = record.process_id, record.status, changes.steps
    if unasked and status.unfinished and status is not ProcessStatus.INTERRUPTED:
        raise Conflict(f"The process {process_id} is {status} by now.")
    if changes.limits is not None and record.training is None:
        raise _only_trainings(record, "limits")
    if steps is not None:
        _check_steps(record, steps)
    limits = changes.limits or record.limits
    if limits is not None and limits.until is not None and limits.expired(now):
        refuse: type[WorkerError] = InvalidInput if asked else Conflict
        raise refuse(
            f"limits: {process_id} was to end at {limits.until:%Y-%m-%d %H:%M:%S %Z}, which has passed.",
            hint="Give new `limits` with the resume.",
            details=[{"field": "limits.until", "error": "has passed"}],
        )
    if status.unfinished or (steps is not None and status is ProcessStatus.COMPLETED):
        return
    more = status is ProcessStatus.COMPLETED and record.training is not None
    raise Conflict(
        f"The process {process_id} is {status}; there is nothing to resume.",
        hint="Give `steps`, a larger total than before, to train it further." if more else "",
    )


def _check_steps(record: ProcessRecord, steps: int) -> None:
    total = record.progress.total_steps
    if record.training is None:
        raise _only_trainings(record, "steps")
    if total is not None and steps <= total:
        raise InvalidInput(
            f"steps: {record.process_id} has a total of {total} steps already; {steps} would not be more.",
            hint=f"Give a total larger than {total}, or leave `steps` out to continue as before.",
            details=[{"field": "steps", "error": f"must be larger than {total}"}],
        )


def _only_trainings(record: ProcessRecord, field: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {record.process_id} is not a training.",
        details=[{"field": field, "error": "goes with a training"}],
    )


def check_continuation(record: ProcessRecord, step: int) -> None:
    """Refuse to train a completed training further if none of its checkpoints is left.

    Raises:
        Conflict: it would begin again under the name of what is complete.
    """
    if record.status is ProcessStatus.COMPLETED and not step:
        raise Conflict(
            f"The process {record.process_id} has no whole checkpoint left, so it cannot be trained further.",
            hint="Start a new training.",
        )


def unreadable(process_id: str) -> Conflict:
    """Return the error for a request whose process has a record that this worker cannot read."""
    return Conflict(
        f"This request belongs to the process {process_id}, whose record cannot be read: it is damaged, or a "
        "newer version of the worker wrote it.",
        hint="Send it as a new job with another idempotency_key, or to a worker of the newer version.",
    )
