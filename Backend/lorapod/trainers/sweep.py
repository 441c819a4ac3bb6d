"""Sweeps: one process that starts several trainings, one for each variant, and follows them to their ends.

The order of a sweep holds the whole orders of its trainings. Each is submitted with a key made of the sweep's id and its
number, so a sweep that is resumed finds the trainings that it has started, resumes those that are not complete (see
`sweep_run.takes_up`), and starts the others: none is lost and none is started twice, wherever its worker died.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from lorapod.errors import InvalidInput, NotFound
from lorapod.processes.order import Order, TaskOrder, TrainingOrder, load_order
from lorapod.processes.requests import Capability
from lorapod.processes.task import TaskWork
from lorapod.processes.work import Plan
from lorapod.records.record import ProcessRecord, TaskDetails
from lorapod.records.status import ProcessStatus
from lorapod.trainers.sweep_run import Sweep, Trainings

#: Keys of an order's input.
ORDERS, VARIANTS = "orders", "variants"


@dataclass(frozen=True, kw_only=True)
class SweepKind:
    """Processes of type `sweep`."""

    trainings: Callable[[], Trainings]

    name = "sweep"
    resumable = True
    not_resumable = ""

    @property
    def order_type(self) -> type[Order]:
        """Orders of tasks."""
        return TaskOrder

    def plan(self, process_id: str, order: TaskOrder, live: object = None) -> Plan:
        """Read the orders of the trainings.

        Raises:
            InvalidInput: they are damaged.
        """
        del live
        try:
            orders = [load_order(TrainingOrder, stored) for stored in order.input[ORDERS]]
        except (KeyError, ValueError) as error:
            raise InvalidInput(f"The order of {process_id} is damaged.", hint="Start a new sweep.") from error
        own = [
            replace(
                each.with_s3(order.job_s3).with_callback(order.callback),
                idempotency_key=f"{process_id}/{number}",
                runpod_job_id=None,
                sweep_id=process_id,
            )
            for number, each in enumerate(orders)
        ]
        sweep = Sweep(
            trainings=self.trainings(),
            orders=own,
            variants=order.input[VARIANTS],
            beyond_limits=self._had_ended(process_id),
        )
        return Plan(
            work=TaskWork(partial(Sweep.run, sweep), needs_slot=False, secrets=order.secrets),
            name=str(order.input.get("name") or "sweep"),
            total_steps=len(own),
            task=TaskDetails(restartable=True),
        )

    def _had_ended(self, process_id: str) -> bool:
        """Return whether the sweep has ended before, by more than the end of its worker."""
        try:
            before = self.trainings().get(process_id)
        except NotFound:
            return False
        return before.status.final and before.status is not ProcessStatus.INTERRUPTED

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return none: its trainings take control requests, each for itself."""
        del record
        return frozenset()
