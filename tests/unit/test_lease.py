from __future__ import annotations

import pytest

from lorapod.lease import Lease, LeaseCount, LeaseLost, LeaseState, LeaseTimes, LivenessTracker
from lorapod.testing.clock import FakeClock

TIMES = LeaseTimes(lease_s=10)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def count(clock: FakeClock) -> LeaseCount:
    count = LeaseCount(TIMES, clock.monotonic)
    count.renew(written)
    return count


def written(_count: int) -> None:
    """The count is on the volume."""


def lost() -> None:
    raise LeaseLost


class TestHolder:
    def test_it_holds_while_it_renews(self, clock: FakeClock, count: LeaseCount) -> None:
        lease = Lease(count)
        for _ in range(10):
            clock.advance(TIMES.fence_s - 0.1)
            assert lease.state is LeaseState.HELD
            count.renew(written)

    def test_it_gives_up_before_others_may_act(self, clock: FakeClock, count: LeaseCount) -> None:
        lease = Lease(count)
        clock.advance(TIMES.fence_s)
        assert lease.state is LeaseState.UNCERTAIN
        assert TIMES.fence_s < TIMES.expiry_s

    def test_a_renewal_counts_from_before_it_was_written(self, clock: FakeClock, count: LeaseCount) -> None:
        lease = Lease(count)
        count.renew(lambda _: clock.advance(TIMES.fence_s))
        assert lease.state is LeaseState.UNCERTAIN

    def test_what_cannot_be_written_renews_nothing(self, clock: FakeClock, count: LeaseCount) -> None:
        lease = Lease(count)

        def full(_count: int) -> None:
            raise OSError(28, "No space left on device")

        clock.advance(TIMES.fence_s - 0.1)
        with pytest.raises(OSError, match="No space"):
            count.renew(full)
        clock.advance(0.1)
        assert lease.state is LeaseState.UNCERTAIN

    @pytest.mark.parametrize(("rested", "state"), [(False, LeaseState.UNCERTAIN), (True, LeaseState.HELD)])
    def test_after_a_standstill_it_is_uncertain_until_it_has_looked(
        self, clock: FakeClock, count: LeaseCount, *, rested: bool, state: LeaseState
    ) -> None:
        lease = Lease(count)
        clock.advance(TIMES.lease_s)
        count.renew(written, rested=rested)
        assert lease.state is state
        assert lease.confirm(lambda: None) is LeaseState.HELD

    def test_what_was_uncertain_for_a_moment_is_so_until_it_has_looked(
        self, clock: FakeClock, count: LeaseCount
    ) -> None:
        lease = Lease(count)
        clock.advance(TIMES.fence_s)
        count.renew(written)
        assert lease.state is LeaseState.UNCERTAIN

    def test_a_standstill_during_the_look_is_not_confirmed(self, clock: FakeClock, count: LeaseCount) -> None:
        lease = Lease(count)

        def stand_still() -> None:
            clock.advance(TIMES.lease_s)
            count.renew(written)

        assert lease.confirm(stand_still) is LeaseState.UNCERTAIN

    def test_what_another_has_taken_is_lost_for_good(self, count: LeaseCount) -> None:
        lease = Lease(count)
        assert lease.confirm(lost) is LeaseState.LOST
        count.renew(written)
        assert lease.confirm(lambda: None) is LeaseState.LOST

    def test_a_look_that_fails_changes_nothing(self, clock: FakeClock, count: LeaseCount) -> None:
        lease = Lease(count)

        def away() -> None:
            raise OSError("the store is away")

        with pytest.raises(OSError, match="away"):
            lease.confirm(away)
        assert lease.state is LeaseState.HELD


class TestWatcher:
    @pytest.mark.parametrize("passed_s", [TIMES.expiry_s - 0.1, TIMES.expiry_s])
    def test_what_stood_still_for_long_enough_has_expired(self, clock: FakeClock, passed_s: float) -> None:
        tracker = LivenessTracker(TIMES.expiry_s, clock.monotonic)
        assert not tracker.has_expired("other", lambda: 1)
        clock.advance(passed_s)
        assert tracker.has_expired("other", lambda: 1) is (passed_s >= TIMES.expiry_s)

    def test_what_changes_lives(self, clock: FakeClock) -> None:
        tracker = LivenessTracker(TIMES.expiry_s, clock.monotonic)
        counts = iter(range(10))
        for _ in range(10):
            assert not tracker.has_expired("other", lambda: next(counts))
            clock.advance(TIMES.expiry_s)

    @pytest.mark.parametrize("seen_before", [False, True])
    def test_a_watcher_that_stands_still_while_it_looks_takes_nobody_for_dead(
        self, clock: FakeClock, *, seen_before: bool
    ) -> None:
        tracker = LivenessTracker(TIMES.expiry_s, clock.monotonic)
        if seen_before:
            assert not tracker.has_expired("other", lambda: 1)

        def slow_look() -> int:
            clock.advance(3 * TIMES.lease_s)
            return 2

        assert not tracker.has_expired("other", slow_look)
        # The first count of the other's that was really seen is a moment old.
        clock.advance(TIMES.sweep_s)
        assert not tracker.has_expired("other", lambda: 2)

    def test_who_is_forgotten_gets_the_whole_time_again(self, clock: FakeClock) -> None:
        tracker = LivenessTracker(TIMES.expiry_s, clock.monotonic)
        tracker.has_expired("other", lambda: 1)
        clock.advance(TIMES.expiry_s)
        tracker.forget_all_but([])
        assert not tracker.has_expired("other", lambda: 1)
