"""What the process manager needs of the things it runs.

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
from lorapod.processes.progress import Failure, Progress
from lorapod.processes.pulse import this_host
from lorapod.processes.record import ProcessRecord, TaskDetails, TrainingDetails
from lorapod.processes.requests import Capability
from lorapod.processes.run import Run
from lorapod.processes.slots import GpuResident
from lorapod.processes.status import ProcessStatus
from lorapod.processes.stopping import StopReason, StopRequest

_STOPPED_STATUS = {
    StopReason.CANCEL: ProcessStatus.CANCELLED,
    StopReason.SHUTDOWN: ProcessStatus.INTERRUPTED,
}


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended; the supervisor writes it down last of all, for then any worker may take the process up."""

    status: ProcessStatus
    failure: Failure | None = None
    #: Other fields of the record.
    changes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def stopped(cls, stop: StopRequest | None) -> Ending:
        """The end of what was told to stop; without a request: of what another worker has taken up."""
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
    """Where a further run of a process goes on."""

    step: int = 0
    #: What the caller should know of it, a sentence each.
    warnings: Sequence[str] = ()


class Work(Protocol):
    """What one run of a process does."""

    #: Whether it waits for a GPU.
    needs_slot: bool
    #: Whether it fetches something before: its turn to do so comes first, and it asks for its GPU by `Run.take_slot`.
    fetches: bool
    #: What stays on the GPU when it is done; None: nothing.
    resident: GpuResident | None
    #: What must not be written to logs and records while it runs.
    secrets: frozenset[str]

    def resumption(self) -> Resumption:
        """Where it goes on when it is a further run; called before it is begun, reads the disk."""

    def run(self, run: Run) -> Ending:
        """Do it; called in the supervisor's thread, in state `preparing`.

        Raises:
            LeaseLost: another worker has taken the process up.
            WorkerError, OSError: it could not be begun, or not be done.
        """

    def over(self, record: ProcessRecord, *, lost: bool) -> None:
        """Called last, also when `run` never was: the end is written, or `lost` to another worker."""


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
    #: What the record keeps of a training; None: it is none.
    training: TrainingDetails | None = None
    #: What the record keeps of a task.
    task: TaskDetails | None = None
    #: What the caller should know but need not change, a sentence each.
    warnings: Sequence[str] = ()


class Kind(Protocol):
    """One type of process."""

    #: As records tell it; ids begin with it.
    name: str
    #: Whether one that ended early can be taken up again from what is kept of its order.
    resumable: bool
    #: Why not, and what to do instead, where it cannot.
    not_resumable: str

    @property
    def order_type(self) -> type[Order]:
        """The class of its orders, as which they are read from the store."""

    def plan(self, process_id: str, order: Any, live: object) -> Plan:
        """What an order (of `order_type`) becomes; writes nothing.

        Raises:
            WorkerError: what it refuses.
        """

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """What one of its running processes can be asked for."""


class Kinds:
    """Kinds by their names."""

    def __init__(self, kinds: Sequence[Kind], context: ProcessContext, *, worker_id: str) -> None:
        """Know `kinds`; `worker_id` is this worker's, as records show it."""
        self._kinds = {kind.name: kind for kind in kinds}
        self._context = context
        self._worker_id = worker_id

    def __iter__(self) -> Iterator[Kind]:
        """Iterate over the kinds."""
        return iter(self._kinds.values())

    def __getitem__(self, name: str) -> Kind:
        """The kind of that name."""
        return self._kinds[name]

    def of(self, record: ProcessRecord) -> Kind:
        """What a process is.

        Raises:
            Unsupported: this worker knows no such type: a later version began the process.
        """
        kind = self._kinds.get(record.type)
        if kind is None:
            raise Unsupported(f"This worker knows nothing of processes of type {record.type!r}.")
        return kind

    def first_record(self, kind: Kind, process_id: str, plan: Plan, order: Order) -> ProcessRecord:
        """The record of a process that waits for its turn."""
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
            progress=Progress(total_steps=plan.total_steps),
            caller_job_id=order.caller_job_id,
            idempotency_key=order.idempotency_key,
            key=order.key,
            runpod_job_id=order.runpod_job_id,
            training=plan.training,
            task=plan.task,
        )
