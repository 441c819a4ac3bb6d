"""The lease: which of several workers holds something, judged without comparing the clocks of two machines.

The holder counts up in a place that all share. A watcher takes the holder for dead when the count has stood still for
`expiry_s` of the watcher's own monotonic clock. The holder gives up earlier, at `fence_s`, counted from before the
count was written: so whatever it held is over before another may take it.

```
0            beat_s                    fence_s            expiry_s     lease_s
|---------------|--------------------------|------------------|------------|
a renewal       the next renewal           the holder stops   others act   promised
```

Only the standard library is used: the fast entry runs on a bare Python. Nothing relies on file locks or modification
times, which network volumes keep badly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from enum import StrEnum


class LeaseLost(Exception):
    """Another worker holds it now; this one must not write any more."""


class LeaseState(StrEnum):
    """What a holder knows of its own lease."""

    #: No other worker can have taken it.
    HELD = "held"
    #: This worker stood still, or cannot write: another one may have taken it. Look before you act.
    UNCERTAIN = "uncertain"
    #: Another worker has taken it. Stop, and write nothing.
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class LeaseTimes:
    """Durations in seconds, all derived from the one that is promised."""

    #: Within this time after a holder's death any other worker has noticed.
    lease_s: float

    @property
    def beat_s(self) -> float:
        """Time between two renewals."""
        return self.lease_s / 8

    @property
    def fence_s(self) -> float:
        """Time after the last renewal when the holder itself gives up; a worker's children are killed then."""
        return self.lease_s * 0.6

    @property
    def expiry_s(self) -> float:
        """Time after the last renewal when others take the holder for dead."""
        return self.lease_s * 0.8

    @property
    def sweep_s(self) -> float:
        """Time between two looks at other holders."""
        return min(1.0, self.lease_s / 10)


class LeaseCount:
    """The holder's count; every `Lease` of the holder depends on it. `renew` is for one thread at a time."""

    def __init__(self, times: LeaseTimes, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin at 0; nothing is held before the first `renew`."""
        self.times = times
        #: When the newest renewal began, in seconds of the monotonic clock.
        self.renewed_s: float | None = None
        #: How often the count stood still so long that everything held under it became uncertain.
        self.breaks = 0
        self._count = 0
        self._monotonic = monotonic

    @property
    def fresh(self) -> bool:
        """Return whether the newest renewal is so young that everybody must believe the holder alive."""
        return self.renewed_s is not None and self._monotonic() < self.renewed_s + self.times.fence_s

    def renew(self, write: Callable[[int], object], *, rested: bool = False) -> float:
        """Count up, and have `write` show the count to the others; return the time before that.

        Args:
            write: puts the count where others read it; its errors are raised here, and nothing is renewed then.
            rested: whether nothing was held since the last renewal, so that a pause is no break.
        """
        began_s = self._monotonic()
        self._count += 1
        write(self._count)
        if self.renewed_s is not None and not rested and began_s >= self.renewed_s + self.times.fence_s:
            self.breaks += 1
        self.renewed_s = began_s
        return began_s


class Lease:
    """One thing that is held under a count. `confirm` is for one thread at a time; `state` for any."""

    def __init__(self, count: LeaseCount) -> None:
        """Begin with something that the holder has just taken."""
        self._count = count
        self._breaks = count.breaks
        self._lost = False

    @property
    def state(self) -> LeaseState:
        """Return what is known now; `UNCERTAIN` stays until `confirm` even if the count is renewed again."""
        if self._lost:
            return LeaseState.LOST
        if self._count.fresh and self._count.breaks == self._breaks:
            return LeaseState.HELD
        return LeaseState.UNCERTAIN

    def confirm(self, prove: Callable[[], object]) -> LeaseState:
        """Call `prove`, which raises `LeaseLost` if another holder has begun; return the state after it.

        Errors of `prove` other than `LeaseLost` are raised, and change nothing.
        """
        breaks = self._count.breaks
        try:
            prove()
        except LeaseLost:
            self._lost = True
        else:
            self._breaks = breaks
        return self.state


class LivenessTracker:
    """Judges other holders by whether what they show still changes; for one thread."""

    def __init__(self, expiry_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take a holder for dead when it has shown the same for `expiry_s`."""
        self.expiry_s = expiry_s
        self._monotonic = monotonic
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def has_expired(self, holder: str, look: Callable[[], Hashable]) -> bool:
        """Return whether what `look` reads has been the same for `expiry_s`.

        A watcher that stands still itself takes no holder for dead: only the time between the end of the first look and
        the beginning of the last one counts.
        """
        before_s = self._monotonic()
        shown = look()
        known = self._seen.get(holder)
        if known is None or known[0] != shown:
            self._seen[holder] = (shown, self._monotonic())
            return False
        return before_s - known[1] >= self.expiry_s

    def forget_all_but(self, holders: Collection[str]) -> None:
        """Drop what was seen of every other holder: it gets the whole time again."""
        for holder in set(self._seen) - set(holders):
            del self._seen[holder]
