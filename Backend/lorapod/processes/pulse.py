"""The heartbeat by which this worker holds processes, and what it knows of the heartbeats of others.

One heartbeat serves all processes of a worker: its count is the one of `lorapod.lease`. The guard beside each child gets
the time of every renewal, and kills the child at `fence_s`: so the training of a frozen worker is over before another
worker may take it up.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path

from lorapod.clock import Clock
from lorapod.lease import Lease, LeaseCount, LeaseTimes, LivenessTracker
from lorapod.processes.child import process_started, same_process
from lorapod.processes.store.port import Heartbeat, HeartbeatStore

logger = logging.getLogger(__name__)


#: How long a worker that stops waits for a store that does not answer, in seconds.
CLOSE_S = 2.0


@cache
def this_host() -> str:
    """Return a name of this machine, since its last boot, and of this process's namespace of process ids.

    Two containers of one machine have the same boot but not the same namespace.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def new_holder(worker_id: str) -> str:
    """Return an id for this run of this worker; a worker that is restarted gets another."""
    plain = "".join(character if character.isalnum() or character in "-_" else "-" for character in worker_id)
    return f"{plain[:100]}.{secrets.token_hex(6)}"


class Pulse:
    """This worker's own heartbeat, in its own thread; it beats while the worker holds processes."""

    def __init__(self, store: HeartbeatStore, holder: str, times: LeaseTimes, clock: Clock) -> None:
        """Write nothing before `follow`."""
        self.holder = holder
        self.times = times
        self._store = store
        self._count = LeaseCount(times, clock.monotonic)
        self._clock = clock
        self._listeners: set[Callable[[float], None]] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def lease(self) -> Lease:
        """Return the lease of one process that this worker has just taken."""
        return Lease(self._count)

    def follow(self, listener: Callable[[float], None]) -> float:
        """Beat, and call `listener` with the time of every heartbeat that was written, until `unfollow`.

        Returns the time of the newest one, in seconds of the monotonic clock, taken before it was written. It is never
        older than the time between two: after a rest a new one is written first, else a guard that counts from the
        one before the rest would kill its child at once.

        Raises:
            OSError: the heartbeat cannot be written, so nothing may be held.
        """
        with self._lock:
            beat_s = self._count.renewed_s
            if beat_s is None or self._clock.monotonic() >= beat_s + self.times.beat_s:
                beat_s = self._beat()
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
                self._thread.start()
            return beat_s

    def revive(self) -> None:
        """Beat now, after a pause in which others may have taken this worker for dead.

        Raises:
            OSError: the heartbeat cannot be written.
        """
        with self._lock:
            if not self._count.fresh:
                self._beat()

    def unfollow(self, listener: Callable[[float], None]) -> None:
        """Call it no more; without listeners no heartbeat is written."""
        with self._lock:
            self._listeners.discard(listener)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Stop, and leave no heartbeat behind if the store answers within `timeout_s`."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.wait(self.times.beat_s):
            try:
                self._beat_and_tell()
            except OSError as error:
                logger.warning("heartbeat cannot be written", extra={"reason": str(error)})
            except Exception:
                # Without its thread the heartbeat would stand still for ever, and every guard would kill its child.
                logger.exception("heartbeat failed")
        try:
            self._store.forget(self.holder)
        except OSError as error:
            # A heartbeat that stands still means the same.
            logger.warning("heartbeat cannot be removed", extra={"reason": str(error)})

    def _beat_and_tell(self) -> None:
        with self._lock:
            if self._listeners:
                beat_s = self._beat()
                for listener in self._listeners:
                    listener(beat_s)

    def _beat(self) -> float:
        pid, before_s, breaks = os.getpid(), self._count.renewed_s, self._count.breaks

        def write(count: int) -> None:
            self._store.write(
                self.holder,
                Heartbeat(count=count, host=this_host(), pid=pid, pid_started=process_started(pid)),
            )

        beat_s = self._count.renew(write, rested=not self._listeners)
        if before_s is not None and self._count.breaks > breaks:
            logger.warning("heartbeat stood still", extra={"for_s": round(beat_s - before_s, 1)})
        return beat_s


class WorkerLiveness:
    """What this worker knows of the life of others; for one thread."""

    def __init__(self, store: HeartbeatStore, times: LeaseTimes, clock: Clock) -> None:
        """Begin without having seen any."""
        self._store = store
        self._tracker = LivenessTracker(times.expiry_s, clock.monotonic)

    def is_dead(self, holder: str) -> bool:
        """Return whether the worker behind `holder` can hold nothing any more.

        At once if it ran on this machine and its process is gone; else when its heartbeat has stood still for
        `expiry_s`.
        """
        found: list[Heartbeat] = []

        def look() -> int:
            if (beat := self._store.read(holder)) is None:
                return 0
            found.append(beat)
            return beat.count

        expired = self._tracker.has_expired(holder, look)
        return expired or any(
            beat.host == this_host() and not same_process(beat.pid, beat.pid_started) for beat in found
        )

    def forget_all_but(self, holders: Collection[str]) -> None:
        """Drop what is known of workers that hold nothing any more."""
        self._tracker.forget_all_but(holders)
