"""The types of processes that a worker knows, and the first record of each."""

from __future__ import annotations

from collections.abc import Sequence

from lorapod.errors import Unsupported
from lorapod.processes.order import Order
from lorapod.processes.pulse import this_host
from lorapod.processes.record import ProcessRecord, Progress
from lorapod.processes.status import ProcessStatus
from lorapod.processes.surroundings import Surroundings
from lorapod.processes.work import Kind, Plan


class Kinds:
    """Kinds by their names."""

    def __init__(self, kinds: Sequence[Kind], around: Surroundings, *, worker_id: str) -> None:
        """Know `kinds`; `worker_id` is this worker's, as records show it."""
        self._kinds = {kind.name: kind for kind in kinds}
        self._around = around
        self._worker_id = worker_id

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
            created_at=self._around.clock.now(),
            worker_id=self._worker_id,
            holder=self._around.pulse.holder,
            host=this_host(),
            progress=Progress(total_steps=plan.total_steps),
            job_id=order.job_id,
            idempotency_key=order.idempotency_key,
            key=order.key,
            asked_by=order.asked_by,
            **plan.record,
        )
