"""The port of what the process manager runs.

A *kind* is one type of process (`train`, `generate`, …): it turns an order into a plan, while the request is still
open. The plan holds the *work*, which a supervisor runs once the process has its turn: a trainer's child
(`processes/training.py`), or a task that is done in the supervisor's own thread (`processes/task.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lorapod.errors import ErrorCode, Unsupported
from lorapod.processes.context import ProcessContext
from lorapod.processes.order import Order
from lorapod.processes.pulse import this_host
from lorapod.processes.requests import Capability
from lorapod.processes.run import Run
from lorapod.processes.slots import GpuResident
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.records.progress import Failure, StoredProgress
from lorapod.records.record import ProcessRecord, TaskDetails, TrainingDetails
from lorapod.records.status import ProcessStatus

_STOPPED_STATUS = {
    StopReason.CANCEL: ProcessStatus.CANCELLED,
    StopReason.SWEEP: ProcessStatus.CANCELLED,
    StopReason.LIMIT: ProcessStatus.CANCELLED,
    StopReason.NO_IMPROVEMENT: ProcessStatus.CANCELLED,
    StopReason.SHUTDOWN: ProcessStatus.INTERRUPTED,
}


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended; written to the record last of all, because from then on any worker may resume the process."""

    status: ProcessStatus
    failure: Failure | None = None
    #: Other fields of the record.
    changes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def stopped(cls, stop: StopRequest | None) -> Ending:
        """Return the end of a run that was asked to stop; without a request, of one whose lease was lost."""
        if stop is None:
            return cls(status=ProcessStatus.INTERRUPTED)
        return cls(status=_STOPPED_STATUS[stop.reason])

    @classmethod
    def fenced(cls, after_s: float) -> Ending:
        """Return the end of a child that its guard killed, `after_s` seconds after the worker's last heartbeat."""
        return cls(
            status=ProcessStatus.INTERRUPTED,
            failure=Failure(
                code=ErrorCode.UPSTREAM_ERROR,
                message=(
                    f"The worker's guard ended it: for {after_s:.1f} s the worker wrote no heartbeat, because it "
                    "stood still or could not reach its workspace."
                ),
                hint="Send `resume`. If it happens again, look at the volume or the state store, or raise LEASE_S.",
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """Where a further run of a process continues."""

    step: int = 0
    #: Warnings for the caller, one sentence each.
    warnings: Sequence[str] = ()


class Work(Protocol):
    """What one run of a process does."""

    #: Whether it waits for a GPU.
    needs_slot: bool
    #: Whether it fetches a dataset first: then it waits for a fetch slot, and takes its GPU by `Run.take_slot`.
    fetches: bool
    #: What stays loaded on the GPU when it has ended; None: nothing.
    resident: GpuResident | None
    #: What must not be written to logs and records while it runs.
    secrets: frozenset[str]

    def resumption(self) -> Resumption:
        """Return where a further run continues; called before it begins, reads the disk."""

    def run(self, run: Run) -> Ending:
        """Do the work; called in the supervisor's thread, in state `preparing`.

        Raises:
            LeaseLost: another worker has taken the process up.
            WorkerError, OSError: it could not begin, or failed.
        """

    def over(self, record: ProcessRecord, *, lost: bool) -> None:
        """Clean up; called last, even if `run` never was. `lost`: another worker has taken the process up."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An order that is ready to be run."""

    work: Work
    #: The record's `name` and `folder`.
    name: str
    folder: str = ""
    total_steps: int | None = None
    #: The config as its program gets it, for a dry run.
    config: Mapping[str, Any] = field(default_factory=dict)
    #: What the record keeps of a training; None for other processes.
    training: TrainingDetails | None = None
    #: What the record keeps of a task.
    task: TaskDetails | None = None
    #: Warnings for the caller, one sentence each.
    warnings: Sequence[str] = ()


class Kind(Protocol):
    """One type of process."""

    #: The type in records; process ids begin with it.
    name: str
    #: Whether an unfinished process can be resumed from its stored order.
    resumable: bool
    #: If it cannot: why, and what to do instead.
    not_resumable: str

    @property
    def order_type(self) -> type[Order]:
        """The class of its orders."""

    def plan(self, process_id: str, order: Any, live: object) -> Plan:
        """Check an order of `order_type` and return what it becomes; write nothing.

        Raises:
            WorkerError: what it refuses.
        """

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return what a running process of this kind can be asked for."""


class Kinds:
    """The kinds that a worker runs, by name."""

    def __init__(self, kinds: Sequence[Kind], context: ProcessContext, *, worker_id: str) -> None:
        """Keep `kinds`; `worker_id` is this worker's, as records show it."""
        self._kinds = {kind.name: kind for kind in kinds}
        self._context = context
        self._worker_id = worker_id

    def __iter__(self) -> Iterator[Kind]:
        """Iterate over the kinds."""
        return iter(self._kinds.values())

    def __getitem__(self, name: str) -> Kind:
        """Return the kind of that name."""
        return self._kinds[name]

    def of(self, record: ProcessRecord) -> Kind:
        """Return the kind of a process.

        Raises:
            Unsupported: this worker does not know the type; a later version began the process.
        """
        kind = self._kinds.get(record.type)
        if kind is None:
            raise Unsupported(f"This worker does not know processes of type {record.type!r}.")
        return kind

    def first_record(self, kind: Kind, process_id: str, plan: Plan, order: Order) -> ProcessRecord:
        """Return the first record of a process, in state `queued`."""
        return ProcessRecord(
            process_id=process_id,
            type=kind.name,
            name=plan.name,
            folder=plan.folder,
            status=ProcessStatus.QUEUED,
            created_at=self._context.clock.now(),
            worker_id=self._worker_id,
            holder=self._context.pulse.holder,
            host=this_host(),
            progress=StoredProgress(total_steps=plan.total_steps),
            caller_job_id=order.caller_job_id,
            idempotency_key=order.idempotency_key,
            key=order.key,
            runpod_job_id=order.runpod_job_id,
            training=plan.training,
            task=plan.task,
        )
