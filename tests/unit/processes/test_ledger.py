"""The ledger of a process, while another thread looks at its lease."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from lorapod.lease import LeaseLost, LeaseState, LeaseTimes
from lorapod.processes.ledger import Ledger
from lorapod.processes.pulse import Pulse
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.clock import FakeClock
from lorapod.testing.records import make_record
from lorapod.testing.store import MemoryHeartbeats, MemoryRecords

TIMES = LeaseTimes(lease_s=10)


class TroubledRecords(MemoryRecords):
    """Records of which each save does what a test says."""

    trouble: Callable[[], None] | None = None

    def save(self, record: ProcessRecord) -> None:
        if self.trouble is not None:
            self.trouble()
        super().save(record)


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.records = TroubledRecords()
        self.pulse = Pulse(MemoryHeartbeats(), "me", TIMES, self.clock)
        self.told: list[tuple[ProcessStatus, bool, LeaseState]] = []
        record = make_record(status=ProcessStatus.RUNNING, holder="me")
        self.pulse.follow(lambda _: None)
        self.records.create(record)
        self.ledger = Ledger(record, self.records, self.pulse, self.clock, self._tell)

    def _tell(self, record: ProcessRecord) -> None:
        self.told.append((record.status, self.ledger.saved, self.ledger.lease.state))

    def stand_still(self) -> None:
        self.clock.advance(TIMES.fence_s)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def full() -> None:
    raise OSError(28, "No space left on device")


def lost() -> None:
    raise LeaseLost


@pytest.mark.parametrize(
    ("found", "state"), [(None, LeaseState.HELD), (lost, LeaseState.LOST)], ids=["held", "lost"]
)
def test_an_end_is_reported_once_it_is_settled_though_another_thread_settled_it(
    bench: Bench, found: Callable[[], None] | None, state: LeaseState
) -> None:
    bench.records.trouble = full
    bench.ledger.end(ProcessStatus.COMPLETED)
    assert bench.told == [(ProcessStatus.COMPLETED, False, LeaseState.HELD)]
    bench.records.trouble = found
    bench.stand_still()
    assert bench.ledger.check_lease() is state
    bench.ledger.finish(threading.Event())
    assert bench.told[1:] == [(ProcessStatus.COMPLETED, found is None, state)]


def test_an_end_that_was_written_at_once_is_reported_once(bench: Bench) -> None:
    bench.ledger.end(ProcessStatus.COMPLETED)
    bench.ledger.finish(threading.Event())
    assert bench.told == [(ProcessStatus.COMPLETED, True, LeaseState.HELD)]


def test_a_lease_that_is_uncertain_is_made_certain_by_a_write(bench: Bench) -> None:
    bench.stand_still()
    assert bench.ledger.lease.state is LeaseState.UNCERTAIN
    bench.records.trouble = full
    assert bench.ledger.check_lease() is LeaseState.UNCERTAIN
    bench.records.trouble = None
    assert bench.ledger.check_lease() is LeaseState.HELD


def test_what_another_worker_has_taken_up_is_written_no_more(bench: Bench) -> None:
    newer = make_record(status=ProcessStatus.INTERRUPTED, holder="other", generation=2)
    bench.records.create(newer)
    bench.ledger.change(bench.ledger.record.moved(ProcessStatus.STOPPING))
    assert bench.ledger.lease.state is LeaseState.LOST
    bench.ledger.end(ProcessStatus.CANCELLED)
    with pytest.raises(LeaseLost):
        bench.ledger.confirm()
    assert bench.records.load(newer.process_id) == newer
