"""Control requests on their way to a process, on whatever worker it runs."""

from __future__ import annotations

from lorapod.errors import Conflict, Unsupported
from lorapod.processes.changes import ChangeQueue, guarded
from lorapod.processes.context import ProcessContext
from lorapod.processes.registry import ProcessRegistry
from lorapod.processes.requests import ControlRequest
from lorapod.processes.stopping import OWN_GRACE_S, StopReason, StopRequest
from lorapod.processes.store.port import RecordExists
from lorapod.processes.work import Kinds
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus


class SteeredProcesses(ProcessRegistry):
    """Processes that can be asked to stop, to save or to sample; its methods are safe for any thread."""

    def __init__(self, context: ProcessContext, changes: ChangeQueue, kinds: Kinds) -> None:
        """Begin with no process in RAM."""
        super().__init__(context.store.records, changes)
        self.kinds = kinds
        self._context = context

    def ask(self, process_id: str, request: ControlRequest) -> ProcessRecord:
        """Have a live process stopped, saved or sampled, on whatever worker holds it; returns at once.

        Raises:
            NotFound: there is no such process.
            Conflict: it has ended.
            Unsupported: its trainer cannot do that.
        """
        record = self.get(process_id)
        wanted = request.capability
        if wanted is not None and wanted not in self.kinds.of(record).capabilities(record):
            who = f"The trainer {record.trainer}" if record.trainer else f"A process of type {record.type}"
            raise Unsupported(f"{who} cannot {wanted} on request.")
        if record.status is ProcessStatus.INTERRUPTED and wanted is None:
            return self._cancel_interrupted(record, _reason(request))
        if record.status.final:
            raise Conflict(
                f"The process {process_id} is {record.status}; there is nothing to {request.verb}."
            )
        if wanted is not None and record.status is not ProcessStatus.RUNNING:
            raise Conflict(f"The process {process_id} is {record.status}, not running.")
        if not self.holds(process_id):
            self._context.store.mailbox.post(process_id, request.message())
        else:
            self.deliver(process_id, request)
        return record

    def found_by_retry(self, record: ProcessRecord, runpod_job_id: str | None) -> ProcessRecord | None:
        """Return what a RunPod job that is delivered again finds; None if it is another job, or resumes the process.

        Raises:
            Conflict: another worker has just resumed it.
        """
        if not record.is_retry(runpod_job_id):
            return None
        return record if record.status is not ProcessStatus.INTERRUPTED else self.cancelled_late(record)

    def cancelled_late(self, record: ProcessRecord) -> ProcessRecord | None:
        """Cancel an interrupted process if its last holder was stopped before it took the request; else return None.

        Raises:
            Conflict: another worker has just resumed it.
        """
        posted = ControlRequest.all_of(self._context.store.mailbox.take(record.process_id))
        stops = [request for request in posted if request.capability is None]
        return self._cancel_interrupted(record, _reason(stops[0])) if stops else None

    def _cancel_interrupted(self, record: ProcessRecord, reason: StopReason) -> ProcessRecord:
        """Cancel a process that no worker holds.

        Raises:
            Conflict: another worker has just resumed it.
        """
        cancelled = record.moved(
            ProcessStatus.CANCELLED,
            generation=record.generation + 1,
            cancel_requested=True,
            reason=reason.told,
        )
        try:
            self._context.store.records.create(cancelled)
        except RecordExists:
            raise Conflict(f"Another worker has just resumed the process {record.process_id}.") from None
        guarded(self._context.on_change, cancelled)
        return cancelled

    def end_expired(self) -> None:
        """End what waits for its turn beyond the moment that its request names; a run looks at its limits by itself."""
        now = self._context.clock.now()
        for supervisor in list(self.supervisors.values()):
            record = supervisor.record
            waits = record.status in {ProcessStatus.QUEUED, ProcessStatus.PREPARING}
            if waits and record.limits is not None and record.limits.expired(now):
                supervisor.stop(StopRequest(reason=StopReason.LIMIT, save=False, grace_s=OWN_GRACE_S))

    def deliver(self, process_id: str, request: ControlRequest) -> None:
        """Act on a request about a process that this worker holds."""
        supervisor = self.supervisors.get(process_id)
        if supervisor is None:
            return
        if request.capability is not None:
            supervisor.want(request.capability)
        else:
            supervisor.stop(StopRequest(reason=_reason(request), save=request.save, grace_s=request.grace_s))


def _reason(request: ControlRequest) -> StopReason:
    return StopReason.SWEEP if request.by_sweep else StopReason.CANCEL
