"""Progress updates of RunPod jobs: what whoever looks at an open job sees as its `output`.

RunPod keeps the newest update of a job and no other, and none once the job has ended. So each shows a process as it is,
with the newest event that a later look must not miss; progress is in what is shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lorapod.clock import Clock
from lorapod.events.models import Event, EventType
from lorapod.events.port import Callback, Parcel, SendUpdate


class JobUpdates:
    """The updates of one open job; a `lorapod.events.port.Updates`, safe for any thread."""

    def __init__(
        self, send: SendUpdate, clock: Clock, *, interval_s: float, newest: Event | None = None
    ) -> None:
        """Send nothing yet."""
        self._send = send
        self._clock = clock
        self._interval_s = interval_s
        self._newest = newest
        self._lock = threading.Lock()
        self._state: object = None
        self._view: Callable[[], Mapping[str, Any]] | None = None
        self._due_s = 0.0
        self._closed = False

    def show(self, state: object, view: Callable[[], Mapping[str, Any]]) -> None:
        """Say how the process is now; sent at once where `state` is new, else when `interval_s` is over."""
        with self._lock:
            self._view = view
            if state != self._state or self._clock.monotonic() >= self._due_s:
                self._state = state
                self._update(view)

    def tell(self, event: Event) -> None:
        """Say what happened, at once."""
        with self._lock:
            self._newest = event
            if self._view is not None:
                self._update(self._view)

    def close(self) -> None:
        """Send no more: the job's result comes next."""
        with self._lock:
            self._closed = True

    def _update(self, view: Callable[[], Mapping[str, Any]]) -> None:
        if self._closed:
            return
        self._due_s = self._clock.monotonic() + self._interval_s
        newest = self._newest
        told = {} if newest is None else {"last_event": newest.model_dump(mode="json", exclude_none=True)}
        self._send({**view(), **told})


class RunPodSink:
    """An `EventSink` for the jobs that wait for a process on this worker. Who does not wait yet misses nothing."""

    name = "runpod"
    #: What is worth keeping stands in the next update too.
    durable = False
    patience_s: float | None = None

    def __init__(self, clock: Clock, *, interval_s: float) -> None:
        """Begin with no job; where nothing happens but progress, updates are `interval_s` seconds apart."""
        self._clock = clock
        self._interval_s = interval_s
        self._open: dict[str, list[JobUpdates]] = {}
        #: By process, as long as its run goes on.
        self._newest: dict[str, Event] = {}
        self._lock = threading.Lock()

    def wants(self, callback: Callback | None) -> bool:
        """Every process: who waits for it may come later."""
        del callback
        return True

    @contextmanager
    def attach(self, process_id: str, send: SendUpdate) -> Iterator[JobUpdates]:
        """Send updates of one process to one job, as long as the context is open.

        Args:
            process_id: the process.
            send: sends one update; may be called from any thread, never blocks.
        """
        with self._lock:
            updates = JobUpdates(
                send, self._clock, interval_s=self._interval_s, newest=self._newest.get(process_id)
            )
            self._open.setdefault(process_id, []).append(updates)
        try:
            yield updates
        finally:
            updates.close()
            with self._lock:
                self._open[process_id].remove(updates)
                if not self._open[process_id]:
                    del self._open[process_id]

    async def deliver(self, parcel: Parcel) -> int:
        """Tell each job that waits for the process."""
        for event in parcel.events:
            self._tell(event)
        return len(parcel.events)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _tell(self, event: Event) -> None:
        if event.event_type is EventType.PROGRESS:
            return
        with self._lock:
            if event.event_type.last:
                # The job's result says so, and more.
                self._newest.pop(event.process_id, None)
                return
            self._newest[event.process_id] = event
            updates = list(self._open.get(event.process_id, ()))
        for update in updates:
            update.tell(event)
