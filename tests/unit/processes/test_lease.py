from __future__ import annotations

import pytest

from lorapod.processes.lease import LeaseTimes, LivenessTracker, Pulse
from lorapod.processes.store.port import Heartbeat
from lorapod.testing.clock import FakeClock
from lorapod.testing.store import MemoryHeartbeats

TIMES = LeaseTimes(lease_s=10)
BEAT = Heartbeat(count=1, host="another machine", pid=1, pid_started=None)


class SlowHeartbeats(MemoryHeartbeats):
    """Whoever reads stands still for a while, once the heartbeat has been read."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.standstill_s = 0.0
        self._clock = clock

    def read(self, holder: str) -> Heartbeat | None:
        beat = super().read(holder)
        self._clock.advance(self.standstill_s)
        return beat


def one(_beat_s: float) -> None:
    """A guard that is told of heartbeats."""


def another(_beat_s: float) -> None:
    """And a second one."""


@pytest.mark.parametrize("passed_s", [TIMES.expiry_s - 0.1, TIMES.expiry_s])
def test_a_heart_that_stands_still_for_long_enough_is_dead(passed_s: float) -> None:
    clock = FakeClock()
    hearts = SlowHeartbeats(clock)
    hearts.write("other", BEAT)
    tracker = LivenessTracker(hearts, TIMES, clock)
    assert not tracker.is_dead("other")
    clock.advance(passed_s)
    assert tracker.is_dead("other") is (passed_s >= TIMES.expiry_s)


def test_who_stands_still_himself_takes_nobody_for_dead() -> None:
    clock = FakeClock()
    hearts = SlowHeartbeats(clock)
    hearts.write("other", BEAT)
    tracker = LivenessTracker(hearts, TIMES, clock)
    assert not tracker.is_dead("other")
    hearts.standstill_s = 3 * TIMES.lease_s
    assert not tracker.is_dead("other")


@pytest.mark.parametrize("rested_s", [TIMES.beat_s, TIMES.fence_s - 0.1, TIMES.fence_s, TIMES.lease_s])
def test_whoever_begins_to_rely_on_a_heart_that_rested_gets_a_fresh_beat(rested_s: float) -> None:
    clock = FakeClock()
    hearts = MemoryHeartbeats()
    pulse = Pulse(hearts, "me", TIMES, clock)
    try:
        pulse.follow(first := list[float]().append)
        pulse.unfollow(first)
        clock.advance(rested_s)
        # A guard counts from this time: with an old one it would end its child before the next beat.
        assert pulse.follow(another) == clock.monotonic()
        beat = hearts.read("me")
        assert beat is not None
        assert beat.count == 2
        assert pulse.stops == 0
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
