"""RealProcessManager: the one place that starts, finds, stops and counts processes."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lorapod.errors import Conflict, NotFound, Unsupported
from lorapod.processes.ids import age_key, new_process_id
from lorapod.processes.record import ProcessRecord
from lorapod.processes.status import ProcessStatus
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.processes.store.port import RecordExists
from lorapod.processes.supervisor import Supervisor, Surroundings
from lorapod.trainers.port import Capability, Trainer, TrainingPlan

#: How long `cancel` waits for the supervisor to have acted on it.
ACKNOWLEDGE_S = 2.0

#: Between two looks at a process that another worker holds.
REMOTE_POLL_S = 2.0

Listener = Callable[[ProcessRecord], None]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A training that may start."""

    trainer: Trainer
    plan: TrainingPlan
    dataset: Mapping[str, Any] = field(default_factory=dict)
    job_id: str | None = None


class RealProcessManager:
    """Runs processes, a supervisor thread each; its methods are safe for any thread and block only on the disk."""

    def __init__(self, surroundings: Surroundings, *, worker_id: str) -> None:
        """Begin with no process; records of earlier workers are found in the store."""
        self._around = surroundings
        self._worker_id = worker_id
        self._lock = threading.Lock()
        self._supervisors: dict[str, Supervisor] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._closing = False

    def submit(
        self, kind: str, make: Callable[[str], Submission], *, idempotency_key: str | None = None
    ) -> ProcessRecord:
        """Start a process, or find the one that the key stands for.

        Args:
            kind: what the id begins with, e.g. `train`.
            make: builds the submission for an id; called again with another in the rare case that the id is taken.
            idempotency_key: two calls with the same key start one process.

        Raises:
            WorkerError: whatever `make` refuses.
            OSError: the record cannot be written.
        """
        while True:
            process_id = new_process_id(kind, self._around.clock.now())
            submission = make(process_id)
            if idempotency_key is not None:
                owner = self._around.store.claim_key(idempotency_key, process_id)
                if owner != process_id:
                    return self.get(owner)
            record = self._first_record(kind, process_id, submission, idempotency_key)
            try:
                self._around.store.create(record)
            except RecordExists:
                continue
            self._supervise(record, submission.plan, submission.trainer)
            return record

    def get(self, process_id: str) -> ProcessRecord:
        """The present record: from RAM where this worker holds the process, else from the store.

        Raises:
            NotFound: there is no such process.
        """
        if (supervisor := self._supervisors.get(process_id)) is not None:
            return supervisor.record
        if (record := self._around.store.load(process_id)) is not None:
            return record
        raise NotFound(f"There is no process {process_id!r} in this workspace.")

    def page(
        self, *, status: ProcessStatus | None, limit: int, before: str | None
    ) -> tuple[Sequence[ProcessRecord], str | None]:
        """Up to `limit` records, newest first, and where to go on: the id to pass as `before`."""
        found: list[ProcessRecord] = []
        for process_id in self._around.store.ids():
            if before is not None and age_key(process_id) >= age_key(before):
                continue
            try:
                record = self.get(process_id)
            except NotFound:
                continue
            if status is None or record.status is status:
                if len(found) == limit:
                    return found, found[-1].process_id
                found.append(record)
        return found, None

    def counts(self) -> Mapping[str, int]:
        """How many processes this worker holds, by status."""
        return Counter(supervisor.record.status.value for supervisor in list(self._supervisors.values()))

    def cancel(self, process_id: str, *, save: bool, grace_s: float) -> ProcessRecord:
        """Have a process stopped; returns its state as observed soon after.

        Raises:
            NotFound: there is no such process.
            Conflict: it has ended already.
        """
        supervisor = self._held(process_id, verb="cancelled")
        seen = threading.Event()

        def acknowledged(record: ProcessRecord) -> None:
            if record.status.final or record.status is ProcessStatus.STOPPING:
                seen.set()

        self.listen(process_id, acknowledged)
        try:
            supervisor.stop(StopRequest(reason=StopReason.CANCEL, save=save, grace_s=grace_s))
            acknowledged(supervisor.record)
            seen.wait(ACKNOWLEDGE_S)
        finally:
            self.unlisten(process_id, acknowledged)
        return supervisor.record

    def want(self, process_id: str, capability: Capability, trainers: Mapping[str, Trainer]) -> ProcessRecord:
        """Ask a running process for a checkpoint or for samples.

        Raises:
            NotFound: there is no such process.
            Conflict: it does not run.
            Unsupported: its trainer cannot do that.
        """
        supervisor = self._held(process_id, verb=f"asked for a {capability}")
        if capability not in trainers[supervisor.record.trainer].capabilities:
            raise Unsupported(f"The trainer {supervisor.record.trainer} cannot {capability} on request.")
        supervisor.want(capability)
        return supervisor.record

    async def wait(self, process_id: str, on_change: Listener | None = None) -> ProcessRecord:
        """Wait until a process has ended, wherever it runs; `on_change` is called on the event loop.

        Raises:
            NotFound: there is no such process.
        """
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake(_record: ProcessRecord) -> None:
            loop.call_soon_threadsafe(changed.set)

        self.listen(process_id, wake)
        try:
            while True:
                changed.clear()
                record = await asyncio.to_thread(self.get, process_id)
                if on_change is not None:
                    on_change(record)
                if record.status.final:
                    return record
                held = process_id in self._supervisors
                try:
                    await asyncio.wait_for(changed.wait(), None if held else REMOTE_POLL_S)
                except TimeoutError:
                    continue
        finally:
            self.unlisten(process_id, wake)

    def listen(self, process_id: str, listener: Listener) -> None:
        """Call `listener`, in the supervisor's thread, at every change of a process that this worker holds."""
        with self._lock:
            self._listeners.setdefault(process_id, []).append(listener)

    def unlisten(self, process_id: str, listener: Listener) -> None:
        """Call it no more."""
        with self._lock:
            listeners = self._listeners[process_id]
            listeners.remove(listener)
            if not listeners:
                del self._listeners[process_id]

    def close(self, grace_s: float) -> None:
        """Stop every process and wait; what is not over after `grace_s` seconds is killed."""
        with self._lock:
            self._closing = True
            supervisors = list(self._supervisors.values())
        deadline = self._around.clock.monotonic() + grace_s
        for supervisor in supervisors:
            # Half for a checkpoint, the rest for the exit.
            supervisor.stop(StopRequest(reason=StopReason.SHUTDOWN, save=True, grace_s=grace_s / 2))
        for supervisor in supervisors:
            if not supervisor.join(max(0.0, deadline - self._around.clock.monotonic())):
                supervisor.kill()
                supervisor.join(ACKNOWLEDGE_S)

    def _held(self, process_id: str, *, verb: str) -> Supervisor:
        if (
            supervisor := self._supervisors.get(process_id)
        ) is not None and not supervisor.record.status.final:
            return supervisor
        record = self.get(process_id)
        if record.status.final:
            raise Conflict(f"The process {process_id} is {record.status} and cannot be {verb}.")
        raise Unsupported(
            f"The process {process_id} is held by the worker {record.worker_id}, not by this one."
        )

    def _first_record(
        self, kind: str, process_id: str, submission: Submission, idempotency_key: str | None
    ) -> ProcessRecord:
        empty = ProcessRecord(
            process_id=process_id,
            type=kind,
            trainer=submission.trainer.name,
            name=submission.plan.name,
            status=ProcessStatus.QUEUED,
            created_at=self._around.clock.now(),
            worker_id=self._worker_id,
            trigger_word=submission.plan.trigger_word,
            base_model=submission.plan.base_model,
            job_id=submission.job_id,
            idempotency_key=idempotency_key,
            dataset=submission.dataset,
        )
        total = submission.plan.total_steps
        return empty.changed(progress=dataclasses.replace(empty.progress, total_steps=total))

    def _supervise(self, record: ProcessRecord, plan: TrainingPlan, trainer: Trainer) -> None:
        supervisor = Supervisor(record, plan, trainer, self._around, self._changed)
        with self._lock:
            if self._closing:
                raise Conflict("This worker is being stopped; send the request again.")
            self._supervisors[record.process_id] = supervisor
        supervisor.start()

    def _changed(self, record: ProcessRecord) -> None:
        supervisor = self._supervisors[record.process_id]
        if record.status.final and supervisor.saved:
            # From here on the store answers; another worker may take the process up.
            del self._supervisors[record.process_id]
        with self._lock:
            listeners = list(self._listeners.get(record.process_id, ()))
        for listener in listeners:
            listener(record)
