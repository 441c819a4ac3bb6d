from __future__ import annotations

import threading

import pytest

from lorapod.clock import SystemClock
from lorapod.lease import LeaseState, LeaseTimes
from lorapod.processes.pulse import Pulse, WorkerLiveness, this_host
from lorapod.processes.store.port import Heartbeat
from lorapod.testing.clock import FakeClock
from lorapod.testing.store import MemoryHeartbeats

TIMES = LeaseTimes(lease_s=10)
BEAT = Heartbeat(count=1, host="another machine", pid=1, pid_started=None)


def one(_beat_s: float) -> None:
    """A guard that is told of heartbeats."""


def another(_beat_s: float) -> None:
    """And a second one."""


@pytest.mark.parametrize("passed_s", [TIMES.expiry_s - 0.1, TIMES.expiry_s])
def test_a_heart_that_stands_still_for_long_enough_is_dead(passed_s: float) -> None:
    clock = FakeClock()
    hearts = MemoryHeartbeats()
    hearts.write("other", BEAT)
    workers = WorkerLiveness(hearts, TIMES, clock)
    assert not workers.is_dead("other")
    clock.advance(passed_s)
    assert workers.is_dead("other") is (passed_s >= TIMES.expiry_s)


def test_who_left_no_heartbeat_is_dead_after_a_while() -> None:
    clock = FakeClock()
    workers = WorkerLiveness(MemoryHeartbeats(), TIMES, clock)
    assert not workers.is_dead("other")
    clock.advance(TIMES.expiry_s)
    assert workers.is_dead("other")


def test_who_ran_on_this_machine_and_is_gone_is_dead_at_once() -> None:
    hearts = MemoryHeartbeats()
    hearts.write("other", Heartbeat(count=1, host=this_host(), pid=2**22 + 1, pid_started=1.0))
    assert WorkerLiveness(hearts, TIMES, FakeClock()).is_dead("other")


@pytest.mark.parametrize("rested_s", [TIMES.beat_s, TIMES.fence_s - 0.1, TIMES.fence_s, TIMES.lease_s])
def test_whoever_begins_to_rely_on_a_heart_that_rested_gets_a_fresh_beat(rested_s: float) -> None:
    clock = FakeClock()
    hearts = MemoryHeartbeats()
    pulse = Pulse(hearts, "me", TIMES, clock)
    try:
        pulse.follow(first := list[float]().append)
        lease = pulse.lease()
        pulse.unfollow(first)
        clock.advance(rested_s)
        # A guard counts from this time: with an old one it would end its child before the next beat.
        assert pulse.follow(another) == clock.monotonic()
        beat = hearts.read("me")
        assert beat is not None
        assert beat.count == 2
        assert lease.state is LeaseState.HELD
    finally:
        pulse.close()


def test_a_heart_that_beats_is_not_asked_for_a_beat_more() -> None:
    clock = FakeClock()
    hearts = MemoryHeartbeats()
    pulse = Pulse(hearts, "me", TIMES, clock)
    try:
        began_s = pulse.follow(one)
        clock.advance(TIMES.beat_s / 2)
        assert pulse.follow(another) == began_s
    finally:
        pulse.close()


class TroubledHeartbeats(MemoryHeartbeats):
    """A store that meets a defect at one write, or stands still at each until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.defects = 0
        self.writing, self.released = threading.Event(), threading.Event()
        self.released.set()

    def write(self, holder: str, beat: Heartbeat) -> None:
        if self.defects:
            self.defects -= 1
            raise RuntimeError("a defect")
        self.writing.set()
        self.released.wait()
        super().write(holder, beat)


@pytest.mark.expects_errors("heartbeat failed")
def test_a_defect_of_the_store_does_not_stop_the_heart(caplog: pytest.LogCaptureFixture) -> None:
    hearts = TroubledHeartbeats()
    pulse = Pulse(hearts, "me", LeaseTimes(lease_s=0.08), SystemClock())
    beaten = threading.Semaphore(0)
    try:
        pulse.follow(lambda _: beaten.release())
        hearts.defects = 1
        for _ in range(3):
            assert beaten.acquire(timeout=10)
        assert hearts.defects == 0
        assert "heartbeat failed" in caplog.text
    finally:
        pulse.close()


def test_a_store_that_stands_still_does_not_keep_the_worker_from_ending() -> None:
    hearts = TroubledHeartbeats()
    pulse = Pulse(hearts, "me", LeaseTimes(lease_s=0.08), SystemClock())
    pulse.follow(one)
    hearts.writing.clear()
    hearts.released.clear()
    assert hearts.writing.wait(10)
    closing = threading.Thread(target=pulse.close, args=(0.05,))
    closing.start()
    closing.join(10)
    try:
        assert not closing.is_alive()
        assert not hearts.released.is_set()
    finally:
        hearts.released.set()
        closing.join(10)


def test_a_heart_that_stood_still_makes_what_it_holds_uncertain() -> None:
    clock = FakeClock()
    pulse = Pulse(MemoryHeartbeats(), "me", TIMES, clock)
    try:
        pulse.follow(one)
        lease = pulse.lease()
        clock.advance(TIMES.fence_s + 0.1)
        assert lease.state is LeaseState.UNCERTAIN
        pulse.revive()
        assert lease.state is LeaseState.UNCERTAIN
        assert lease.confirm(lambda: None) is LeaseState.HELD
    finally:
        pulse.close()
