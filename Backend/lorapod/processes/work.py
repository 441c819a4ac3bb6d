"""What the process manager needs of the things it runs.

A *kind* is one type of process (`train`, `generate`, …): it turns an order into a plan, while the request is still
open. The plan holds the *work*, which a supervisor runs once the process has its turn: a trainer's child
(`processes/training.py`), or a task that is done in the supervisor's own thread (`processes/task.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lorapod.errors import ErrorCode
from lorapod.processes.order import Order
from lorapod.processes.record import ProcessRecord
from lorapod.processes.run import Run
from lorapod.processes.slots import Resident
from lorapod.processes.status import ProcessStatus
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.trainers.port import Capability, Failure

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
    resident: Resident | None
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
    #: The record's `name`, `folder`, and what else the kind knows of it.
    name: str
    folder: str = ""
    total_steps: int | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
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

    def plan(self, process_id: str, order: Any) -> Plan:
        """What an order (of `order_type`) becomes; writes nothing.

        Raises:
            WorkerError: what it refuses.
        """

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """What one of its running processes can be asked for."""
