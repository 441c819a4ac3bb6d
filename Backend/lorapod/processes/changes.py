"""Changes of processes: queued by the threads that supervise them, and handed to listeners by one thread.

A supervisor never calls a listener: a slow disk, a defect in an event sink, or a closed event loop can therefore
neither delay a training nor end it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lorapod.lease import LeaseState
from lorapod.records.record import ProcessRecord

logger = logging.getLogger(__name__)

Listener = Callable[[ProcessRecord], None]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one process."""

    record: ProcessRecord
    #: What this worker knew of its lease then.
    lease: LeaseState
    #: Whether the store had this record then.
    saved: bool
    #: Whether the folder and config of a run have just been written.
    started: bool = False

    @property
    def certain(self) -> bool:
        """Whether it may be told to others: the process is held, and an end is on disk, so that no crash undoes it."""
        return self.lease is LeaseState.HELD and (self.saved or not self.record.status.final)

    @property
    def last(self) -> bool:
        """Whether this worker has nothing more to do with the process: the store answers for it from now on."""
        return self.lease is LeaseState.LOST or (self.saved and self.record.status.final)

    def replaces(self, earlier: Change) -> bool:
        """Return whether `earlier` need not be handed out if this one is: only its progress is out of date."""
        before, now = earlier.record, self.record
        return (
            before.process_id == now.process_id
            and (before.generation, before.status, before.phase) == (now.generation, now.status, now.phase)
            and not (earlier.started or earlier.last)
        )


class ChangeQueue:
    """Hands changes out in their order, in its own thread; safe for any thread."""

    def __init__(self, consume: Callable[[Change], None]) -> None:
        """Call `consume` with each change; what it raises is logged."""
        self._consume = consume
        self._changes: deque[Change] = deque()
        self._busy = False
        self._closing = False
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, change: Change) -> None:
        """Queue a change; returns at once. Of changes in a row that differ only in progress, the newest is kept."""
        with self._condition:
            if self._changes and change.replaces(self._changes[-1]):
                self._changes.pop()
            self._changes.append(change)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that is queued was handed out; return whether it was in time."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._changes and not self._busy, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Hand out what is queued, and stop; return whether that was done in time."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (change := self._next()) is not None:
            try:
                self._consume(change)
            except Exception:
                logger.exception(
                    "a change could not be handed out", extra={"process_id": change.record.process_id}
                )

    def _next(self) -> Change | None:
        with self._condition:
            self._busy = False
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._changes or self._closing)
            if not self._changes:
                return None
            self._busy = True
            return self._changes.popleft()


class Listeners:
    """Who wants to hear of which process; safe for any thread."""

    def __init__(self) -> None:
        """Begin with no listener."""
        self._listeners: dict[str, list[Listener]] = {}
        self._lock = threading.Lock()

    def add(self, process_id: str, listener: Listener) -> None:
        """Call `listener`, in the thread of the queue, at every change of a process that this worker holds."""
        with self._lock:
            self._listeners.setdefault(process_id, []).append(listener)

    def remove(self, process_id: str, listener: Listener) -> None:
        """Call it no more."""
        with self._lock:
            listeners = self._listeners[process_id]
            listeners.remove(listener)
            if not listeners:
                del self._listeners[process_id]

    def tell(self, record: ProcessRecord) -> None:
        """Call every listener of this process; what one raises is logged, and the others are called all the same."""
        with self._lock:
            listeners = list(self._listeners.get(record.process_id, ()))
        for listener in listeners:
            guarded(listener, record)


def guarded(listener: Listener, record: ProcessRecord) -> None:
    """Call a listener; log what it raises."""
    try:
        listener(record)
    except Exception:
        logger.exception("a listener failed", extra={"process_id": record.process_id})
