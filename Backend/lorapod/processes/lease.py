"""Who may run a process: the heartbeat of its holder, and when each side must believe that it has stopped.

Clocks of two machines differ, so nobody compares times. The holder counts its heartbeat up; another worker takes it
for dead when the count has not changed for a while of *its own* monotonic clock. The holder, and the guard beside each
of its children, give up earlier, counted from before the heartbeat was written: so the training of a frozen worker is
over before another may take it up.

```
0            beat_s                    fence_s            expiry_s     lease_s
|---------------|--------------------------|------------------|------------|
t of a beat     the next beat              guard kills        others act    promised
```
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lorapod.clock import Clock
from lorapod.processes.child import process_started, same_process
from lorapod.processes.store.port import Heartbeat, HeartbeatStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LeaseTimes:
    """Seconds, all derived from the one that is promised."""

    #: Within this time after a worker's death any other worker has noticed.
    lease_s: float

    @property
    def beat_s(self) -> float:
        """Between two heartbeats."""
        return self.lease_s / 8

    @property
    def fence_s(self) -> float:
        """After a heartbeat that was the last, the holder's own children are killed."""
        return self.lease_s * 0.6

    @property
    def expiry_s(self) -> float:
        """After a heartbeat that was the last, others take the holder for dead."""
        return self.lease_s * 0.8

    @property
    def sweep_s(self) -> float:
        """Between two looks at other workers' processes."""
        return min(1.0, self.lease_s / 10)


@cache
def this_host() -> str:
    """Names this machine, since its last boot, and this process's namespace of process ids.

    Two containers of one machine have the same boot but not the same namespace.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def new_holder(worker_id: str) -> str:
    """An id for this run of this worker; a worker that is restarted gets another."""
    plain = "".join(character if character.isalnum() or character in "-_" else "-" for character in worker_id)
    return f"{plain[:100]}.{secrets.token_hex(6)}"


class Pulse:
    """This worker's own heartbeat; beats while it holds processes, in a thread of its own."""

    def __init__(self, store: HeartbeatStore, holder: str, times: LeaseTimes, clock: Clock) -> None:
        """Nothing is written before `start`."""
        self.holder = holder
        self.times = times
        self._store = store
        self._clock = clock
        self._count = 0
        #: How often the heart stood still so long that the guards ended this worker's children.
        self.stops = 0
        self._last_s: float | None = None
        self._listeners: set[Callable[[float], None]] = set()
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def holding(self) -> bool:
        """Whether others must still believe that this worker is alive."""
        return self._last_s is not None and self._clock.monotonic() < self._last_s + self.times.fence_s

    def follow(self, listener: Callable[[float], None]) -> float:
        """Beat, and call `listener` with the time of every heartbeat that was written, until `unfollow`.

        Returns the time of the newest one, in seconds of the monotonic clock, taken before it was written. It is never
        older than the time between two: a heart that rested beats first, else a guard that counts from the beat before
        the rest would end its child at once.

        Raises:
            OSError: the heartbeat cannot be written, so nothing may be held.
        """
        with self._lock:
            if self._last_s is None or self._clock.monotonic() >= self._last_s + self.times.beat_s:
                self._beat()
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
                self._thread.start()
            assert self._last_s is not None
            return self._last_s

    def revive(self) -> None:
        """Beat now, after a pause in which others may have taken this worker for dead.

        Raises:
            OSError: the heartbeat cannot be written.
        """
        with self._lock:
            if not self.holding:
                self._beat()

    def unfollow(self, listener: Callable[[float], None]) -> None:
        """Call it no more; without listeners the heart rests."""
        with self._lock:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Stop, and leave no heartbeat behind."""
        self._closed = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self._store.forget(self.holder)
        except OSError as error:
            # It stands still, which says the same.
            logger.warning("heartbeat cannot be removed", extra={"reason": str(error)})

    def _run(self) -> None:
        while not self._changed.wait(self.times.beat_s):
            with self._lock:
                if not self._listeners:
                    continue
                try:
                    self._beat()
                except OSError as error:
                    logger.warning("heartbeat cannot be written", extra={"reason": str(error)})
                    continue
                for listener in self._listeners:
                    listener(self._last_s or 0.0)

    def _beat(self) -> None:
        began_s = self._clock.monotonic()
        self._count += 1
        pid = os.getpid()
        self._store.write(
            self.holder,
            Heartbeat(count=self._count, host=this_host(), pid=pid, pid_started=process_started(pid)),
        )
        if self._last_s is not None and began_s > self._last_s + self.times.fence_s and self._listeners:
            logger.warning("heart stood still", extra={"for_s": round(began_s - self._last_s, 1)})
            self.stops += 1
        self._last_s = began_s


class LivenessTracker:
    """What this worker knows of the life of others; used by one thread."""

    def __init__(self, store: HeartbeatStore, times: LeaseTimes, clock: Clock) -> None:
        """Begin knowing nobody."""
        self._store = store
        self._times = times
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def is_dead(self, holder: str) -> bool:
        """Whether the worker behind `holder` can hold nothing any more.

        At once where it ran on this machine and its process is gone; else when its heartbeat has not changed for
        `expiry_s` since it was first seen so.
        """
        # Before the look: should this worker itself stand still now, the other's beats meanwhile are not missed.
        now_s = self._clock.monotonic()
        beat = self._store.read(holder)
        if beat is not None and beat.host == this_host() and not same_process(beat.pid, beat.pid_started):
            return True
        count = beat.count if beat is not None else 0
        known = self._seen.get(holder)
        if known is None or known[0] != count:
            self._seen[holder] = (count, now_s)
            return False
        return now_s - known[1] >= self._times.expiry_s

    def forget_all_but(self, holders: Collection[str]) -> None:
        """Drop what is known of workers that hold nothing any more."""
        for holder in set(self._seen) - set(holders):
            del self._seen[holder]
