"""One run of a sweep: submit its trainings, follow them to their ends, judge what has become of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from lorapod.errors import Conflict, ErrorCode, UpstreamError, WorkerError
from lorapod.processes.order import Accepted, Order, TrainingOrder
from lorapod.processes.requests import ControlRequest
from lorapod.processes.resumable import TakesUp
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.processes.task import TaskRun, TaskStopped
from lorapod.records.estimates import estimate_of_all
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus

#: Between two looks at the trainings, in seconds.
LOOK_S = 0.5

#: How long a cancelled sweep waits for its trainings beyond their own times for a stop, in seconds.
ENDS_S = 30.0

#: How often a training is submitted before a conflict counts.
SUBMITS = 3


class Trainings(Protocol):
    """The process manager, as a sweep uses it."""

    def submit(self, type_: str, order: Order, *, takes_up: TakesUp) -> Accepted:
        """Start a training, or find the one with its key, and resume it if it is to be taken up."""

    def get(self, process_id: str) -> ProcessRecord:
        """Return the present record."""

    def ask(self, process_id: str, request: ControlRequest) -> ProcessRecord:
        """Have a process stopped."""


class Sweep:
    """One run of a sweep."""

    def __init__(
        self,
        *,
        trainings: Trainings,
        orders: Sequence[TrainingOrder],
        variants: Sequence[Mapping[str, Any]],
        beyond_limits: bool = False,
    ) -> None:
        """Start nothing yet; `beyond_limits`: see `takes_up`."""
        self._trainings = trainings
        self._orders = orders
        self._variants = variants
        self._takes_up = partial(takes_up, beyond_limits=beyond_limits)
        self._found: list[ProcessRecord | WorkerError] = []
        self._reported: Mapping[str, Any] = {}

    def run(self, task: TaskRun) -> Mapping[str, Any]:
        """Submit every training in order, and wait until all have ended.

        Raises:
            TaskStopped: it was stopped, or a training was interrupted.
            UpstreamError: a training failed.
        """
        task.started()
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
                return self._trainings.submit("train", order, takes_up=self._takes_up).record
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
                        record.process_id,
                        ControlRequest(save=stop.save, grace_s=stop.grace_s, by_sweep=True),
                    )
        self._look()

    def _judge(self, task: TaskRun) -> None:
        """Raise what has become of the trainings, unless each is completed, was cancelled alone or got no better."""
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
        if any(
            not isinstance(record, WorkerError) and record.reason == StopReason.LIMIT
            for record in self._found
        ):
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
            StoredProgress(
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


def takes_up(record: ProcessRecord, *, beyond_limits: bool) -> bool:
    """Return whether a sweep that is resumed resumes a training of it that has ended.

    What a person has cancelled alone stays cancelled, and what got no better stays as it is. A training that has reached its
    limit goes on only with a sweep that had ended itself, so that a person wants more (`beyond_limits`): a sweep that has only
    lost its worker gives no new time.
    """
    if record.status is not ProcessStatus.CANCELLED:
        return record.status.unfinished
    return record.reason == StopReason.SWEEP or (beyond_limits and record.reason == StopReason.LIMIT)


def _shown(record: ProcessRecord | WorkerError) -> Mapping[str, Any]:
    if isinstance(record, WorkerError):
        return {
            "status": ProcessStatus.FAILED.value,
            "error": record.message,
            "code": ErrorCode(record.code).value,
        }
    progress, training = record.progress, record.training
    known = {
        "process_id": record.process_id,
        "status": record.status.value,
        "step": progress.step,
        "total_steps": progress.total_steps,
        "loss": progress.loss,
        "ran_s": (training.ran_s or None) if training is not None else None,
        "gpu": training.gpu if training is not None else None,
        "error": record.failure.message if record.failure is not None else None,
    }
    return {name: value for name, value in known.items() if value is not None}
