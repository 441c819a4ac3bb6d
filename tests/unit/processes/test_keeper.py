from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from lorapod.clock import SystemClock
from lorapod.lease import LeaseState, LeaseTimes
from lorapod.processes.keeper import Keeper
from lorapod.processes.store.port import StateStore
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record
from lorapod.testing.store import MemoryRecords, open_memory_store

MINE = make_record(holder="mine.1", host="elsewhere")


class BusyRecords(MemoryRecords):
    """Between the sweep's look at what is held and its look at what lives, a process is begun, and may end."""

    def __init__(self, begin: ProcessRecord, held: set[str], *, ends: bool) -> None:
        super().__init__()
        self._begin, self._held, self._ends = begin, held, ends

    def live_ids(self) -> Sequence[str]:
        self._held.add(self._begin.process_id)
        self.create(self._begin)
        return super().live_ids()

    def load(self, process_id: str) -> ProcessRecord | None:
        found = super().load(process_id)
        if self._ends and self._held:
            self.save(self._begin.moved(ProcessStatus.FAILED))
            self._held.clear()
        return found


def open_keeper(store: StateStore, held: set[str]) -> Keeper:
    return Keeper(
        store,
        LeaseTimes(lease_s=15),
        SystemClock(),
        holder="mine.1",
        held=lambda: frozenset(held),
        lease=lambda process_id: LeaseState.HELD,
        end_expired=lambda: None,
        deliver=lambda process_id, message: None,
        marked_dead=lambda record: None,
    )


@pytest.mark.parametrize(("ends", "status"), [(False, ProcessStatus.RUNNING), (True, ProcessStatus.FAILED)])
def test_what_is_begun_during_a_sweep_is_not_marked_dead(*, ends: bool, status: ProcessStatus) -> None:
    held: set[str] = set()
    records = BusyRecords(MINE, held, ends=ends)
    open_keeper(dataclasses.replace(open_memory_store(), records=records), held).sweep()
    found = MemoryRecords.load(records, MINE.process_id)
    assert found is not None
    assert (found.generation, found.status) == (1, status)


def test_what_names_this_worker_and_is_not_held_is_marked_dead() -> None:
    store = open_memory_store()
    store.records.create(MINE)
    open_keeper(store, set()).sweep()
    found = store.records.load(MINE.process_id)
    assert found is not None
    assert (found.generation, found.status) == (2, ProcessStatus.INTERRUPTED)
