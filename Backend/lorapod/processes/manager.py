"""RealProcessManager: the one place that starts, finds, stops and counts processes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from lorapod.errors import Conflict, Unsupported
from lorapod.lease import LeaseState
from lorapod.processes.context import ProcessContext
from lorapod.processes.keeper import Keeper
from lorapod.processes.listening import Listeners
from lorapod.processes.order import (
    Accepted,
    Order,
    SealedCallback,
    TaskOrder,
    is_retry,
    keep_order,
    read_order,
)
from lorapod.processes.progress import Progress
from lorapod.processes.pulse import this_host
from lorapod.processes.record import ProcessRecord, new_process_id
from lorapod.processes.registry import ProcessRegistry
from lorapod.processes.requests import ControlRequest
from lorapod.processes.slots import refuse_if_busy
from lorapod.processes.status import ProcessStatus
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.processes.store.port import RecordExists
from lorapod.processes.supervisor import Supervisor
from lorapod.processes.work import Kind, Kinds, Plan
from lorapod.storage.s3_access import JobS3

#: How long a killed child may take to be gone.
KILL_GRACE_S = 2.0

#: How long a run whose end is known may take to let go of its process.
LET_GO_S = 5.0


class RealProcessManager(ProcessRegistry):
    """Runs processes, a supervisor thread each; its methods are safe for any thread and block only on the disk."""

    def __init__(
        self,
        context: ProcessContext,
        kinds: Sequence[Kind],
        *,
        worker_id: str,
    ) -> None:
        """Begin with no process; records of earlier workers are found in the store.

        Args:
            context: what every supervisor gets.
            kinds: the types of processes that it runs.
            worker_id: as records show it.
        """
        super().__init__(context.store.records)
        self._context = context
        self._kinds = Kinds(kinds, context, worker_id=worker_id)
        self._worker_id = worker_id
        self._lock = threading.Lock()
        self._closing = False
        self.listeners = Listeners()
        self._keeper = Keeper(
            context.store,
            context.pulse.times,
            context.clock,
            holder=context.pulse.holder,
            held=lambda: frozenset(self.supervisors),
            lease=self.check_lease,
            deliver=self._deliver,
            marked_dead=context.on_change,
        )

    def start(self) -> None:
        """Begin to look after other workers' processes, and to hear messages."""
        self._keeper.start()

    def plan(self, type_: str, order: Order) -> Plan:
        """Return what an order would become; start nothing.

        Raises:
            WorkerError: what the process's kind refuses.
        """
        return self._kinds[type_].plan(new_process_id(type_, self._context.clock.now()), order)

    def submit(self, type_: str, order: Order) -> Accepted:
        """Start a process; or find the one that the order's key stands for, and take it up again.

        A RunPod job that is handed out again because its worker died finds its process too. That one is taken up only
        if it was interrupted: the job has not changed its mind about what has failed or was cancelled.

        Args:
            type_: of the process, e.g. `train`; its id begins so.
            order: what to do, of that type's class.

        Raises:
            WorkerError: what the trainer, or whoever else is to do it, refuses; or the machine has no room for it.
            Conflict: it would have to wait, and its caller does not wish that.
            OSError: the record cannot be written.
        """
        kind = self._kinds[type_]
        store = self._context.store.records
        key = order.key
        while True:
            process_id = new_process_id(type_, self._context.clock.now())
            plan = kind.plan(process_id, order)
            if key is not None:
                owner = store.claim_key(key, process_id)
                if owner != process_id and (found := store.load(owner)) is not None:
                    if found.key == order.key:
                        return self._again(owner, order)
                    # Another key drew the same id at the same moment, and was faster: this one stands aside for good.
                    key = f"{key}, not {owner}"
                    continue
                process_id = owner
                plan = kind.plan(process_id, order)
            record = self._kinds.first_record(kind, process_id, plan, order)
            try:
                self._hold(record, plan, order)
            except RecordExists:
                continue
            return Accepted(record=record, warnings=plan.warnings, begun=True)

    def resume(
        self,
        process_id: str,
        *,
        runpod_job_id: str | None = None,
        job_s3: JobS3 | None = None,
        callback: SealedCallback | None = None,
    ) -> Accepted:
        """Take an unfinished process up again, from its newest whole checkpoint where it has one.

        Args:
            process_id: which process.
            runpod_job_id: the RunPod job that asks; when it asked for the last run already, it finds that one.
            job_s3: the S3 server that this job brings with it: credentials of an earlier job are kept nowhere.
            callback: where its caller wants its events from now on; None: where it wanted them before.

        Raises:
            NotFound: there is no such process, or what it was to train is gone.
            Conflict: it runs, it is completed, or another worker was faster.
            Unsupported: processes of its type are not taken up again.
            WorkerError: what the trainer, or whoever else is to do it, refuses now.
        """
        record = self.get(process_id)
        if is_retry(record, runpod_job_id) and record.status is not ProcessStatus.INTERRUPTED:
            return Accepted.found(record, runpod_job_id)
        if not record.status.unfinished:
            raise Conflict(f"The process {process_id} is {record.status}; there is nothing to resume.")
        kind = self._kinds.of(record)
        if not kind.resumable:
            raise Unsupported(kind.not_resumable)
        order = read_order(kind.order_type, self._context.store.orders, process_id)
        order = order.with_s3(job_s3).with_callback(callback)
        self._context.check_s3(order.job_s3)
        return self._take_up(record, order, runpod_job_id)

    def ask(self, process_id: str, request: ControlRequest) -> ProcessRecord:
        """Have a live process stopped, saved or sampled, by whatever worker holds it; returns at once.

        Raises:
            NotFound: there is no such process.
            Conflict: it has ended.
            Unsupported: its trainer cannot do that.
        """
        record = self.get(process_id)
        wanted = request.capability
        if wanted is not None and wanted not in self._kinds.of(record).capabilities(record):
            who = f"The trainer {record.trainer}" if record.trainer else f"A process of type {record.type}"
            raise Unsupported(f"{who} cannot {wanted} on request.")
        if record.status is ProcessStatus.INTERRUPTED and wanted is None:
            return self._cancel_interrupted(record)
        if record.status.final:
            raise Conflict(
                f"The process {process_id} is {record.status}; there is nothing to {request.verb}."
            )
        if wanted is not None and record.status is not ProcessStatus.RUNNING:
            raise Conflict(f"The process {process_id} is {record.status}, not running.")
        if not self.holds(process_id):
            self._context.store.mailbox.post(process_id, request.message())
        else:
            self._deliver(process_id, request)
        return record

    def close(self, grace_s: float) -> None:
        """Stop every process and wait; what is not over after `grace_s` seconds is killed."""
        with self._lock:
            self._closing = True
            supervisors = list(self.supervisors.values())
        deadline = self._context.clock.monotonic() + grace_s
        for supervisor in supervisors:
            # Half for a checkpoint, the rest for the exit.
            supervisor.stop(StopRequest(reason=StopReason.SHUTDOWN, save=True, grace_s=grace_s / 2))
        for supervisor in supervisors:
            if not supervisor.join(max(0.0, deadline - self._context.clock.monotonic())):
                supervisor.kill()
                supervisor.join(KILL_GRACE_S)
        self._keeper.close()
        self._context.starter.close()
        self._context.pulse.close()

    def _again(self, process_id: str, order: Order) -> Accepted:
        """What has become of a process whose key is used again."""
        record = self.get(process_id)
        orders = self._context.store.orders
        if orders.read(process_id) is None:
            # Whoever began the process was killed before it could keep the order, or is just about to.
            keep_order(order.made_again(record), orders, process_id)
        if not record.status.unfinished:
            return Accepted.found(record, order.runpod_job_id)
        if self._kinds.of(record).resumable:
            return self.resume(
                process_id, runpod_job_id=order.runpod_job_id, job_s3=order.job_s3, callback=order.callback
            )
        if is_retry(record, order.runpod_job_id) and record.status is not ProcessStatus.INTERRUPTED:
            return Accepted.found(record, order.runpod_job_id)
        # The request is here again with all that was not kept of it.
        return self._take_up(record, order, order.runpod_job_id)

    def _take_up(self, record: ProcessRecord, order: Order, runpod_job_id: str | None) -> Accepted:
        """Begin a further run of an unfinished process."""
        plan = self._kinds.of(record).plan(record.process_id, order)
        resumption = plan.work.resumption()
        queued = record.taken_up(
            worker_id=self._worker_id,
            holder=self._context.pulse.holder,
            host=this_host(),
            runpod_job_id=runpod_job_id,
            progress=Progress(step=resumption.step, total_steps=plan.total_steps),
        )
        try:
            self._hold(queued, plan, order)
        except RecordExists:
            raise Conflict(f"Another worker has just taken the process {record.process_id} up.") from None
        return Accepted(record=queued, warnings=[*plan.warnings, *resumption.warnings], begun=True)

    def _cancel_interrupted(self, record: ProcessRecord) -> ProcessRecord:
        cancelled = record.moved(ProcessStatus.CANCELLED, generation=record.generation + 1)
        try:
            self._context.store.records.create(cancelled)
        except RecordExists:
            raise Conflict(f"Another worker has just taken the process {record.process_id} up.") from None
        self._context.on_change(cancelled)
        return cancelled

    def _hold(self, record: ProcessRecord, plan: Plan, order: Order) -> None:
        """Begin a generation, and supervise it."""
        context = self._context
        context.check_room()
        before = self.supervisors.get(record.process_id)
        if before is not None and before.record.status.final:
            before.join(LET_GO_S)
        supervisor = Supervisor(record, plan.work, context, self._changed)
        with self._lock:
            if self._closing:
                raise Conflict("This worker is being stopped; send the request again.")
            if record.process_id in self.supervisors:
                raise RecordExists(record.process_id)
            if isinstance(order, TaskOrder) and order.refuse_if_busy and plan.work.needs_slot:
                holders = [other for other in self.supervisors.values() if other.needs_slot]
                refuse_if_busy(holders, context.slots.count, plan.work.resident)
            # First in RAM: whatever the store says this worker holds and it does not, the keeper marks dead.
            self.supervisors[record.process_id] = supervisor
        try:
            context.pulse.follow(supervisor.heard)
            context.store.records.create(record)
            keep_order(order, context.store.orders, record.process_id)
            if record.generation > 1:
                # What was said to an earlier holder is not meant for this one.
                context.store.mailbox.take(record.process_id)
        except BaseException:
            context.pulse.unfollow(supervisor.heard)
            del self.supervisors[record.process_id]
            raise
        supervisor.start()

    def _deliver(self, process_id: str, request: ControlRequest) -> None:
        """Act on a request about a process that this worker holds."""
        supervisor = self.supervisors.get(process_id)
        if supervisor is None:
            return
        if request.capability is not None:
            supervisor.want(request.capability)
        else:
            supervisor.stop(StopRequest(reason=StopReason.CANCEL, save=request.save, grace_s=request.grace_s))

    def _changed(self, record: ProcessRecord) -> None:
        supervisor = self.supervisors[record.process_id]
        # An end is reported once it is on the disk: until then a crash would undo it.
        told = supervisor.saved or not record.status.final
        if told and supervisor.lease is LeaseState.HELD:
            self._context.on_change(record)
        if supervisor.lease is LeaseState.LOST or (supervisor.saved and record.status.final):
            # From here on the store answers; another worker may take the process up.
            del self.supervisors[record.process_id]
        self.listeners.tell(record)
