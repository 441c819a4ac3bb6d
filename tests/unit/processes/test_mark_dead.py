from __future__ import annotations

import dataclasses
import errno
from typing import Any

import pytest

from lorapod.lease import LeaseState, LeaseTimes
from lorapod.processes.keeper import Keeper
from lorapod.processes.requests import ControlRequest
from lorapod.processes.store.file import FileRecords
from lorapod.processes.store.port import Heartbeat, StateStore
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.clock import FakeClock
from lorapod.testing.records import make_record
from lorapod.testing.store import MemoryHeartbeats, MemoryRecords, open_memory_store

TIMES = LeaseTimes(lease_s=10)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def beat(count: int) -> Heartbeat:
    return Heartbeat(count=count, host="another machine", pid=1, pid_started=None)


def keep(
    store: StateStore, clock: FakeClock, *, lease: LeaseState = LeaseState.HELD, **changes: Any
) -> Keeper:
    def deliver(_process_id: str, _request: ControlRequest) -> None:
        raise AssertionError("nothing was posted for this worker")

    arguments = {
        "held": frozenset,
        "lease": lambda _id: lease,
        "deliver": deliver,
        "end_expired": lambda: None,
        "marked_dead": lambda _: None,
        **changes,
    }
    return Keeper(store, TIMES, clock, holder="me", **arguments)


def test_all_that_a_dead_worker_held_is_marked_dead_at_once(clock: FakeClock) -> None:
    store = open_memory_store()
    store.heartbeats.write("dead", beat(7))
    ids = [f"train_{number:012x}" for number in range(3)]
    for process_id in ids:
        store.records.create(make_record(process_id=process_id, status=ProcessStatus.QUEUED, holder="dead"))
    told: list[ProcessRecord] = []
    keeper = keep(store, clock, marked_dead=told.append)
    keeper.sweep()
    clock.advance(TIMES.expiry_s)
    keeper.sweep()
    found = [record for each in ids if (record := store.records.load(each))]
    assert [record.status for record in found] == [ProcessStatus.INTERRUPTED] * 3
    assert sorted(told, key=lambda record: record.process_id) == found
    assert store.heartbeats.read("dead") is None


@pytest.mark.parametrize(
    ("cancel_requested", "status"), [(True, ProcessStatus.CANCELLED), (False, ProcessStatus.INTERRUPTED)]
)
def test_what_its_dead_worker_was_cancelling_is_cancelled(
    clock: FakeClock, *, cancel_requested: bool, status: ProcessStatus
) -> None:
    store = open_memory_store()
    record = make_record(
        status=ProcessStatus.STOPPING, holder="dead", cancel_requested=cancel_requested, host="elsewhere"
    )
    store.records.create(record)
    keeper = keep(store, clock)
    keeper.sweep()
    clock.advance(TIMES.expiry_s)
    keeper.sweep()
    found = store.records.load(record.process_id)
    assert found is not None
    assert (found.status, found.generation) == (status, 2)


class ContestedRecords(MemoryRecords):
    """Another worker, which has not seen the cancel, marks the process dead a moment earlier."""

    def __init__(self, then: ProcessStatus) -> None:
        super().__init__()
        self.then = then

    def create(self, record: ProcessRecord) -> None:
        if record.generation == 2:
            super().create(dataclasses.replace(record, status=self.then, worker_id="faster"))
        super().create(record)


@pytest.mark.parametrize("then", [ProcessStatus.INTERRUPTED, ProcessStatus.RUNNING])
def test_a_cancel_that_this_worker_took_is_not_lost_if_another_was_faster(
    clock: FakeClock, then: ProcessStatus
) -> None:
    store = dataclasses.replace(open_memory_store(), records=ContestedRecords(then))
    record = make_record(status=ProcessStatus.RUNNING, holder="dead", host="elsewhere")
    store.records.create(record)
    store.mailbox.post(record.process_id, ControlRequest(grace_s=5).message())
    told: list[ProcessRecord] = []
    keeper = keep(store, clock, marked_dead=told.append)
    keeper.sweep()
    clock.advance(TIMES.expiry_s)
    keeper.sweep()
    found = store.records.load(record.process_id)
    assert found is not None
    if then is ProcessStatus.INTERRUPTED:
        assert (found.status, found.generation) == (ProcessStatus.CANCELLED, 3)
        assert told == [found]
        assert not store.mailbox.take(record.process_id)
    else:
        # It runs again: the message is for the worker that holds it now.
        assert (found.worker_id, found.generation) == ("faster", 2)
        assert [message["grace_s"] for message in store.mailbox.take(record.process_id)] == [5]


class AwayHeartbeats(MemoryHeartbeats):
    """A volume that does not answer for a while."""

    away = False

    def read(self, holder: str) -> Heartbeat | None:
        if self.away:
            raise OSError(errno.ESTALE, "Stale file handle")
        return super().read(holder)


def test_after_a_volume_was_away_each_worker_gets_the_time_to_show_that_it_lives(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    hearts = AwayHeartbeats()
    store = dataclasses.replace(open_memory_store(), heartbeats=hearts)
    hearts.write("other", beat(7))
    record = make_record(status=ProcessStatus.RUNNING, holder="other", host="elsewhere")
    store.records.create(record)
    keeper = keep(store, clock)
    keeper.sweep_and_log()
    hearts.away = True
    keeper.sweep_and_log()
    clock.advance(TIMES.expiry_s)
    hearts.away = False
    keeper.sweep_and_log()
    assert store.records.load(record.process_id) == record
    assert [entry.levelname for entry in caplog.records] == ["WARNING"]
    clock.advance(TIMES.expiry_s)
    keeper.sweep_and_log()
    assert store.records.load(record.process_id) != record


def test_the_heartbeat_of_a_worker_that_died_at_rest_goes_too(clock: FakeClock) -> None:
    store = open_memory_store()
    keeper = keep(store, clock)
    store.heartbeats.write("dead", beat(1))
    store.heartbeats.write("alive", beat(1))
    keeper.sweep()
    clock.advance(TIMES.expiry_s)
    store.heartbeats.write("alive", beat(2))
    keeper.sweep()
    assert set(store.heartbeats.holders()) == {"alive"}


def test_messages_of_a_process_that_may_be_somebody_elses_by_now_are_left_alone(clock: FakeClock) -> None:
    store = open_memory_store()
    record = make_record(status=ProcessStatus.RUNNING, holder="me")
    store.records.create(record)
    store.mailbox.post(record.process_id, {"save": True})
    keep(store, clock, lease=LeaseState.UNCERTAIN, held=lambda: frozenset([record.process_id])).sweep()
    assert len(store.mailbox.take(record.process_id)) == 1


def test_a_mark_of_life_that_a_killed_worker_left_is_taken_away(
    clock: FakeClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    records = FileRecords(tmp_path_factory.mktemp("processes"))
    memory = open_memory_store()
    store = StateStore(
        records=records, orders=memory.orders, heartbeats=memory.heartbeats, mailbox=memory.mailbox
    )
    record = make_record(status=ProcessStatus.RUNNING, holder="dead")
    records.create(record)
    records.save(record.moved(ProcessStatus.COMPLETED))
    (records._live / record.process_id).touch()
    keeper = keep(store, clock)
    keeper.sweep()
    assert list(records.live_ids()) == [record.process_id]  # its worker may be about to take it away itself
    keeper.sweep()
    assert list(records.live_ids()) == []
