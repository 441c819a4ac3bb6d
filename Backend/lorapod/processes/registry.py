"""The processes that this worker holds, and the records of all others: found, listed, counted, waited for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from lorapod.errors import NotFound
from lorapod.lease import LeaseState
from lorapod.processes.changes import ChangeQueue, Listener, Listeners
from lorapod.processes.store.port import RecordStore, StateStoreUnavailable
from lorapod.processes.supervisor import Supervisor
from lorapod.records.page import first_page
from lorapod.records.process_id import age_key
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.thread_pools import WAITS

#: Seconds between two looks at a process that another worker holds.
REMOTE_POLL_S = 1.0

#: How long a waiter that has seen an end waits for all others to be told, in seconds.
HAND_OUT_S = 5.0


class ProcessRegistry:
    """Finds records: in RAM if this worker holds the process, else in the store."""

    def __init__(self, records: RecordStore, changes: ChangeQueue) -> None:
        """Begin with no process in RAM."""
        self._records = records
        self.changes = changes
        self.listeners = Listeners()
        #: What this worker holds, or believes to hold.
        self.supervisors: dict[str, Supervisor] = {}

    def get(self, process_id: str) -> ProcessRecord:
        """Return the present record.

        Raises:
            NotFound: there is no such process.
        """
        supervisor = self.supervisors.get(process_id)
        if supervisor is not None and supervisor.lease is LeaseState.HELD:
            return supervisor.record
        try:
            record = self._records.load(process_id)
        except StateStoreUnavailable:
            if supervisor is None:
                raise
            # No worker knows more than what this one knew last.
            return supervisor.record
        if record is None:
            raise NotFound(
                f"There is no process {process_id!r} in this workspace.", hint="`processes` lists them."
            )
        return record

    def holds(self, process_id: str) -> bool:
        """Whether this worker runs the process, or has it in its line."""
        supervisor = self.supervisors.get(process_id)
        return supervisor is not None and supervisor.lease is LeaseState.HELD

    def check_lease(self, process_id: str) -> LeaseState:
        """Return the state of this worker's lease of a process; if it is uncertain, look at the store first."""
        supervisor = self.supervisors.get(process_id)
        return LeaseState.LOST if supervisor is None else supervisor.check_lease()

    def page(
        self,
        *,
        status: ProcessStatus | None,
        limit: int,
        before: str | None,
        sweep_id: str | None = None,
    ) -> tuple[Sequence[ProcessRecord], str | None]:
        """Return up to `limit` records, newest first, and the id to pass as `before` for the next page.

        The trainings of a sweep are left out, unless it is named.
        """
        ids = (
            process_id
            for process_id in self._records.ids()
            if before is None or age_key(process_id) < age_key(before)
        )
        return first_page(self._known(ids), status=status, limit=limit, sweep_id=sweep_id)

    def _known(self, process_ids: Iterable[str]) -> Iterator[ProcessRecord]:
        """Yield the records of those processes that are there."""
        for process_id in process_ids:
            with suppress(NotFound):
                yield self.get(process_id)

    def live(self) -> Iterator[ProcessRecord]:
        """Yield the records of all processes that have not ended, whatever worker holds them."""
        return (record for record in self._known(self._records.live_ids()) if not record.status.final)

    def live_with(self, key: str) -> str | None:
        """Return the id of the process with this key that has not ended; what it uses must not refuse its own request."""
        return next((record.process_id for record in self.live() if record.key == key), None)

    def live_ids(self) -> Collection[str]:
        """Return the ids of all processes that have not ended, whatever worker holds them; reads no record."""
        return frozenset(self._records.live_ids())

    def newest_ids(self, types: Collection[str], limit: int) -> Sequence[str]:
        """Return the ids of the newest processes of these types, newest first; reads no record."""
        known = (each for each in self._records.ids() if each.rpartition("_")[0] in types)
        return list(islice(known, limit))

    def counts(self) -> Mapping[str, int]:
        """How many processes this worker holds, by status."""
        return Counter(supervisor.record.status.value for supervisor in list(self.supervisors.values()))

    async def wait_until(
        self,
        process_id: str,
        reached: Callable[[ProcessRecord], bool],
        on_change: Listener | None = None,
    ) -> ProcessRecord:
        """Wait until a process has reached something, on whatever worker it runs.

        Args:
            process_id: which process.
            reached: says whether a record is what is waited for.
            on_change: called on the event loop, now and at every change.

        Raises:
            NotFound: there is no such process.
        """
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake(_record: ProcessRecord) -> None:
            loop.call_soon_threadsafe(changed.set)

        self.listeners.add(process_id, wake)
        try:
            while True:
                changed.clear()
                record = await WAITS.run(self.get, process_id)
                if on_change is not None:
                    on_change(record)
                if reached(record):
                    if record.status.final:
                        await WAITS.run(self.changes.drain, HAND_OUT_S)
                    return record
                timeout_s = None if self.holds(process_id) else REMOTE_POLL_S
                try:
                    await asyncio.wait_for(changed.wait(), timeout_s)
                except TimeoutError:
                    continue
        finally:
            self.listeners.remove(process_id, wake)
