"""What became of a request to start a process, or to take one up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorapod.processes.record import ProcessRecord


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A process that a request led to."""

    record: ProcessRecord
    #: What the caller should know but need not change, a sentence each.
    warnings: Sequence[str] = ()
    #: The same RunPod job has asked for it before, on a worker that did not live to answer.
    retried: bool = False
    #: Whether this very request began a run; else it found one.
    begun: bool = False

    @classmethod
    def found(cls, record: ProcessRecord, asked_by: str | None) -> Accepted:
        """A process that was there already; `asked_by` is the RunPod job that asks now."""
        return cls(record=record, retried=is_retry(record, asked_by))


def is_retry(record: ProcessRecord, asked_by: str | None) -> bool:
    """Whether a RunPod job asks for a run that it has asked for before."""
    return asked_by is not None and record.asked_by == asked_by
