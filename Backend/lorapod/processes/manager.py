"""RealProcessManager: the one place that starts, finds, stops and counts processes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from lorapod.deadline import Deadline
from lorapod.errors import Conflict, NotFound, Unsupported
from lorapod.processes import resumable
from lorapod.processes.changes import Change, ChangeQueue, guarded
from lorapod.processes.context import ProcessContext
from lorapod.processes.keeper import Keeper
from lorapod.processes.order import Accepted, Order, SealedCallback, TaskOrder, keep_order, read_order
from lorapod.processes.pulse import this_host
from lorapod.processes.shutdown import stop_all
from lorapod.processes.slots import refuse_if_busy
from lorapod.processes.steering import SteeredProcesses
from lorapod.processes.store.port import RecordExists
from lorapod.processes.supervisor import Supervisor
from lorapod.processes.work import Kind, Kinds, Plan
from lorapod.records.limits import UNCHANGED, Continuation
from lorapod.records.process_id import new_process_id
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.storage.s3_access import JobS3

logger = logging.getLogger(__name__)

#: How long a run whose end is known may take to let go of its process, in seconds.
LET_GO_S = 5.0


class RealProcessManager(SteeredProcesses):
    """Runs processes, a supervisor thread each; its methods are safe for any thread and block only on the disk."""

    def __init__(
        self,
        context: ProcessContext,
        kinds: Sequence[Kind],
        *,
        worker_id: str,
        check_type: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Begin with no process; records of earlier workers are found in the store.

        Args:
            context: what every supervisor gets.
            kinds: the types of processes that it runs.
            worker_id: as records show it.
            check_type: refuses to run processes of a type on this worker.
        """
        super().__init__(context, ChangeQueue(self._handle), Kinds(kinds, context, worker_id=worker_id))
        self._worker_id = worker_id
        self._check_type = check_type
        self._lock = threading.Lock()
        self._closing = False
        self._keeper = Keeper(
            context.store,
            context.pulse.times,
            context.clock,
            holder=context.pulse.holder,
            held=lambda: frozenset(self.supervisors),
            lease=self.check_lease,
            deliver=self.deliver,
            end_expired=self.end_expired,
            marked_dead=context.on_change,
        )

    def start(self) -> None:
        """Start to look after dead workers' processes, and to receive messages."""
        self._keeper.start()

    def plan(self, type_: str, order: Order) -> Plan:
        """Return what an order would become; start nothing.

        Raises:
            WorkerError: what the process's kind refuses.
        """
        return self.kinds[type_].plan(new_process_id(type_, self._context.clock.now()), order, None)

    def submit(
        self,
        type_: str,
        order: Order,
        *,
        live: object = None,
        takes_up: resumable.TakesUp = resumable.is_unfinished,
    ) -> Accepted:
        """Start a process; or find the one that the order's key belongs to, and resume it.

        A RunPod job that is delivered again because its worker died finds its process too. That process is resumed only
        if it was interrupted: the job has not changed its mind about what has failed or was cancelled.

        Args:
            type_: of the process, e.g. `train`; its id begins with it.
            order: what to do, of that type's class; it is stored.
            live: what its kind needs beside it and must not be stored: a caller's secrets, files on local disk.
            takes_up: says whether a process that the key belongs to is to be resumed.

        Raises:
            WorkerError: trainer or engine refuse the order, the disk is full, or this worker runs none of the type.
            Conflict: it would have to wait, and its caller does not want that; or its key's record is unreadable.
            OSError: the record cannot be written.
        """
        self._check_type(type_)
        kind = self.kinds[type_]
        store = self._context.store.records
        if (key := order.key) is not None and (same := self.live_with(key)) is not None:
            return self._again(same, order, live, takes_up)
        while True:
            process_id = new_process_id(type_, self._context.clock.now())
            plan = kind.plan(process_id, order, live)
            if key is not None:
                owner = store.claim_key(key, process_id)
                if owner != process_id and (found := store.load(owner)) is not None:
                    if found.key == order.key:
                        return self._again(owner, order, live, takes_up)
                    # Another key drew the same id at the same moment and was faster: this key is given up for good.
                    key = f"{key}, not {owner}"
                    continue
                process_id = owner
                plan = kind.plan(process_id, order, live)
            record = self.kinds.first_record(kind, process_id, plan, order)
            try:
                self._hold(record, plan, order)
            except RecordExists:
                if process_id not in self.supervisors and store.load(process_id) is None:
                    raise resumable.unreadable(process_id) from None
                continue
            return Accepted(record=record, warnings=plan.warnings, begun=True)

    def resume(
        self,
        process_id: str,
        *,
        runpod_job_id: str | None = None,
        job_s3: JobS3 | None = None,
        callback: SealedCallback | None = None,
        unasked: bool = False,
        changes: Continuation = UNCHANGED,
    ) -> Accepted:
        """Resume an unfinished process, or with more steps a completed training, from its newest whole checkpoint.

        Args:
            process_id: which process.
            runpod_job_id: the RunPod job that asks; if it asked for the last run already, it finds that run.
            job_s3: the S3 server that this job brings with it: credentials of an earlier job are stored nowhere.
            callback: where its caller wants its events from now on; None: where it wanted them before.
            unasked: the worker resumes it by itself, on behalf of the RunPod job that asked for the last run.
            changes: what the training does otherwise from now on.

        Raises:
            NotFound: there is no such process, or its order is gone.
            Conflict: it runs, it is completed and no steps are added, or another worker was faster.
            InvalidInput: `changes` have not more steps than before, or its limit has passed.
            Unsupported: processes of its type cannot be resumed.
            WorkerError: the trainer or engine refuses the order now, or this worker runs no processes of its type.
        """
        record = self.get(process_id)
        self._check_type(record.type)
        runpod_job_id = record.runpod_job_id if unasked else runpod_job_id
        retried = record.is_retry(runpod_job_id)
        if retried and record.status is not ProcessStatus.INTERRUPTED:
            return Accepted.found(record, runpod_job_id)
        changes = UNCHANGED if retried else changes  # made when the job was delivered first
        asked = not (unasked or retried)
        resumable.check_resumable(
            record, changes, unasked=unasked, asked=asked, now=self._context.clock.now()
        )
        if (unasked or retried) and (late := self.cancelled_late(record)) is not None:
            return Accepted.found(late, runpod_job_id)
        kind = self.kinds.of(record)
        if not kind.resumable:
            raise Unsupported(kind.not_resumable)
        order = read_order(kind.order_type, self._context.store.orders, process_id)
        order = order.with_s3(job_s3).with_callback(callback)
        self._context.check_s3(order.job_s3)
        return self._take_up(record, order, runpod_job_id, live=None, changes=changes, asked=asked)

    def close(self, deadline: Deadline) -> None:
        """Stop every process: all are asked, then all are killed; what still runs at the deadline is logged."""
        with self._lock:
            self._closing = True
            supervisors = list(self.supervisors.values())
        stop_all(supervisors, deadline)
        self._keeper.close(deadline.left_s)
        self._context.starter.close()
        self._context.pulse.close(deadline.left_s)
        if not self.changes.close(deadline.left_s):
            logger.warning("changes of processes were not handed out before the end of the shutdown")

    def _again(self, process_id: str, order: Order, live: object, takes_up: resumable.TakesUp) -> Accepted:
        """Answer a request whose key has a process already: find that process, or resume it."""
        record = self.get(process_id)
        orders = self._context.store.orders
        if orders.read(process_id) is None:
            # The worker that began the process was killed before it could keep the order, or is just about to.
            keep_order(order.made_again(record), orders, process_id)
        if not takes_up(record):
            return Accepted.found(record, order.runpod_job_id)
        if self.kinds.of(record).resumable:
            return self.resume(
                process_id, runpod_job_id=order.runpod_job_id, job_s3=order.job_s3, callback=order.callback
            )
        if (found := self.found_by_retry(record, order.runpod_job_id)) is not None:
            return Accepted.found(found, order.runpod_job_id)
        # This request has everything that was not kept of the first one.
        return self._take_up(record, order, order.runpod_job_id, live=live)

    def _take_up(
        self,
        record: ProcessRecord,
        order: Order,
        runpod_job_id: str | None,
        *,
        live: object,
        changes: Continuation = UNCHANGED,
        asked: bool = True,
    ) -> Accepted:
        """Begin a further run of a process; `asked`: a person asks for it."""
        # The record has what an earlier resume changed even if that worker died before it could keep the order.
        order = order.continued(Continuation(steps=record.steps, limits=record.limits)).continued(changes)
        plan = self.kinds.of(record).plan(record.process_id, order, live)
        resumption = plan.work.resumption()
        resumable.check_continuation(record, resumption.step)
        queued = record.taken_up(
            worker_id=self._worker_id,
            holder=self._context.pulse.holder,
            host=this_host(),
            runpod_job_id=runpod_job_id,
            progress=StoredProgress(step=resumption.step, total_steps=plan.total_steps),
            changes=changes,
            asked=asked,
        )
        try:
            self._hold(queued, plan, order)
        except RecordExists:
            if self._context.store.records.load(record.process_id) is None:
                raise NotFound(f"The process {record.process_id} was deleted a moment ago.") from None
            raise Conflict(f"Another worker has just resumed the process {record.process_id}.") from None
        return Accepted(record=queued, warnings=[*plan.warnings, *resumption.warnings], begun=True)

    def _hold(self, record: ProcessRecord, plan: Plan, order: Order) -> None:
        """Begin a generation, and supervise it."""
        context = self._context
        context.check_room()
        before = self.supervisors.get(record.process_id)
        if before is not None and before.record.status.final:
            before.join(LET_GO_S)
            self.changes.drain(LET_GO_S)
        supervisor = Supervisor(record, plan.work, context, self.changes)
        try:
            self._admit(supervisor, plan, order)
            context.pulse.follow(supervisor.heard)
            context.store.records.create(record)
            keep_order(order, context.store.orders, record.process_id)
            context.settle_deletions()
            if record.generation > 1:
                # Messages to an earlier holder are not meant for this one.
                context.store.mailbox.take(record.process_id)
            supervisor.start()
        except BaseException:
            supervisor.discard()
            if self.supervisors.get(record.process_id) is supervisor:
                del self.supervisors[record.process_id]
            raise

    def _admit(self, supervisor: Supervisor, plan: Plan, order: Order) -> None:
        """Hold a process in RAM first: the keeper marks dead what the store says this worker holds and it does not."""
        process_id = supervisor.record.process_id
        with self._lock:
            if self._closing:
                raise Conflict("This worker is being stopped; send the request again.")
            if (held := self.supervisors.get(process_id)) is not None:
                if held.record.status.final:
                    raise Conflict(
                        f"This worker is still writing and reporting the end of the process {process_id}.",
                        hint="Send the request again in a few seconds; if that does not help, look at the volume.",
                    )
                raise RecordExists(process_id)
            if isinstance(order, TaskOrder) and order.refuse_if_busy and plan.work.needs_slot:
                holders = [other for other in list(self.supervisors.values()) if other.needs_slot]
                refuse_if_busy(holders, self._context.slots.count, plan.work.resident)
            self.supervisors[process_id] = supervisor

    def _handle(self, change: Change) -> None:
        """Hand a change out, and let go of what this worker has nothing more to do with; in the queue's thread."""
        record = change.record
        if change.started:
            guarded(self._context.on_start, record)
            return
        if change.certain:
            guarded(self._context.on_change, record)
        held = self.supervisors.get(record.process_id)
        if change.last and held is not None and held.record.generation == record.generation:
            self.supervisors.pop(record.process_id, None)
        self.listeners.tell(record)
