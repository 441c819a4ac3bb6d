"""Sweeps: one process that starts several trainings, one for each variant, and follows them to their ends.

The order of a sweep holds the whole orders of its trainings. Each is submitted with a key made of the sweep's id and its
number, so a sweep that is resumed finds the trainings that it has started, resumes those that are not complete, and starts
the others: none is lost and none is started twice, wherever its worker died.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol

from lorapod.errors import Conflict, ErrorCode, InvalidInput, UpstreamError, WorkerError
from lorapod.processes.order import Accepted, Order, TaskOrder, TrainingOrder, load_order
from lorapod.processes.requests import Capability, ControlRequest
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.processes.task import TaskRun, TaskStopped, TaskWork
from lorapod.processes.work import Plan
from lorapod.records.estimates import estimate_of_all
from lorapod.records.progress import Progress
from lorapod.records.record import ProcessRecord, TaskDetails
from lorapod.records.status import Phase, ProcessStatus

#: Between two looks at the trainings, in seconds.
LOOK_S = 0.5

#: How long a cancelled sweep waits for its trainings beyond their own times for a stop, in seconds.
ENDS_S = 30.0

#: How often a training is submitted before a conflict counts.
SUBMITS = 3

#: Keys of an order's input.
ORDERS, VARIANTS = "orders", "variants"


class Trainings(Protocol):
    """The process manager, as a sweep uses it."""

    def submit(self, type_: str, order: Order) -> Accepted:
        """Start a training, or find and resume the one with its key."""

    def get(self, process_id: str) -> ProcessRecord:
        """Return the present record."""

    def ask(self, process_id: str, request: ControlRequest) -> ProcessRecord:
        """Have a process stopped."""


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
        sweep = Sweep(trainings=self.trainings(), orders=own, variants=order.input[VARIANTS])
        return Plan(
            work=TaskWork(partial(Sweep.run, sweep), needs_slot=False, secrets=order.secrets),
            name=str(order.input.get("name") or "sweep"),
            total_steps=len(own),
            task=TaskDetails(restartable=True),
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return none: its trainings take control requests, each for itself."""
        del record
        return frozenset()


class Sweep:
    """One run of a sweep."""

    def __init__(
        self,
        *,
        trainings: Trainings,
        orders: Sequence[TrainingOrder],
        variants: Sequence[Mapping[str, Any]],
    ) -> None:
        """Start nothing yet."""
        self._trainings = trainings
        self._orders = orders
        self._variants = variants
        self._found: list[ProcessRecord | WorkerError] = []
        self._reported: Mapping[str, Any] = {}

    def run(self, task: TaskRun) -> Mapping[str, Any]:
        """Submit every training in order, and wait until all have ended.

        Raises:
            TaskStopped: it was stopped, or a training was interrupted.
            UpstreamError: a training failed.
        """
        for order in self._orders:
            self._check_stop(task)
            self._found.append(self._submitted(order))
            self._report(task)
        while not self._over():
            self._check_stop(task)
            time.sleep(LOOK_S)
            self._look()
            self._report(task)
        task.keep_outcome(self._outcome())
        self._judge(task)
        return self._outcome()

    def _submitted(self, order: TrainingOrder) -> ProcessRecord | WorkerError:
        for left in reversed(range(SUBMITS)):
            try:
                return self._trainings.submit("train", order).record
            except WorkerError as error:
                if not isinstance(error, Conflict) or not left:
                    return error
            # Another worker may just be resuming it; the next attempt finds it.
            time.sleep(LOOK_S)
        raise AssertionError("the last attempt returns")

    def _look(self) -> None:
        """Read the records of what has not ended."""
        for place, record in enumerate(self._found):
            if isinstance(record, WorkerError) or record.status.final:
                continue
            # The store may not answer now; the next look tries again.
            with suppress(OSError, WorkerError):
                self._found[place] = self._trainings.get(record.process_id)

    def _over(self) -> bool:
        return all(isinstance(record, WorkerError) or record.status.final for record in self._found)

    def _check_stop(self, task: TaskRun) -> None:
        """Stop the trainings if the sweep was cancelled, and end.

        Raises:
            TaskStopped: it was asked to stop.
        """
        if not task.stopped():
            return
        stop = task.stop
        if stop is not None and stop.reason is not StopReason.SHUTDOWN:
            self._stop_all(stop)
            deadline = time.monotonic() + 2 * stop.grace_s + ENDS_S
            while not self._over() and time.monotonic() < deadline and task.stop is stop:
                time.sleep(LOOK_S)
                self._look()
                self._report(task)
            task.keep_outcome(self._outcome())
        raise TaskStopped

    def _stop_all(self, stop: StopRequest) -> None:
        """Ask every training to stop, the last first: else each would begin when the one before it ends."""
        for record in reversed(self._found):
            if not isinstance(record, WorkerError):
                with suppress(Conflict):
                    self._trainings.ask(
                        record.process_id, ControlRequest(save=stop.save, grace_s=stop.grace_s)
                    )
        self._look()

    def _judge(self, task: TaskRun) -> None:
        """Raise what has become of the trainings, unless each is completed or was cancelled by itself."""
        failed = [
            record
            for record in self._found
            if isinstance(record, WorkerError) or record.status is ProcessStatus.FAILED
        ]
        statuses = {record.status for record in self._found if not isinstance(record, WorkerError)}
        if ProcessStatus.INTERRUPTED in statuses:
            raise TaskStopped
        # Its trainings may have stopped before it looked for the request itself.
        if ProcessStatus.CANCELLED in statuses and task.stopped():
            raise TaskStopped
        if any(not isinstance(record, WorkerError) and record.reason is not None for record in self._found):
            task.end_at_limit()
            raise TaskStopped
        if failed:
            names = ", ".join(record.process_id for record in failed if not isinstance(record, WorkerError))
            raise UpstreamError(
                f"{len(failed)} of {len(self._orders)} trainings failed{f': {names}' if names else ''}.",
                hint="`process_status` of each says why; `resume` of the sweep tries them again.",
            )

    def _report(self, task: TaskRun) -> None:
        outcome = self._outcome()
        if outcome == self._reported:
            return
        self._reported = outcome
        task.keep_outcome(outcome)
        ended = sum(isinstance(record, WorkerError) or record.status.final for record in self._found)
        total = len(self._orders)
        done = sum(
            100.0 if record.status.final else record.progress.percent or 0.0
            for record in self._found
            if not isinstance(record, WorkerError)
        )
        task.progress(
            Progress(
                step=ended,
                total_steps=total,
                told_percent=done / total,
                detail=f"{ended} of {total} trainings have ended",
            ),
            Phase.TRAINING,
        )

    def _outcome(self) -> Mapping[str, Any]:
        return {
            "processes": [
                {"variant": dict(variant), **_shown(record)}
                for variant, record in zip(self._variants, self._found, strict=False)
            ],
            **self._estimate(),
        }

    def _estimate(self) -> Mapping[str, Any]:
        """Return how long its trainings take together, once each is accepted; nothing if that is not known."""
        if len(self._found) < len(self._orders):
            return {}
        estimate = estimate_of_all([each for each in self._found if not isinstance(each, WorkerError)])
        return {} if estimate is None else {"estimate": asdict(estimate)}


def _shown(record: ProcessRecord | WorkerError) -> Mapping[str, Any]:
    if isinstance(record, WorkerError):
        return {
            "status": ProcessStatus.FAILED.value,
            "error": record.message,
            "code": ErrorCode(record.code).value,
        }
    progress = record.progress
    known = {
        "process_id": record.process_id,
        "status": record.status.value,
        "step": progress.step,
        "total_steps": progress.total_steps,
        "loss": progress.loss,
        "error": record.failure.message if record.failure is not None else None,
    }
    return {name: value for name, value in known.items() if value is not None}
