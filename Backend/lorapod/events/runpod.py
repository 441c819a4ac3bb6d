"""Send progress updates to open RunPod jobs: callers see the newest one as the job's `output`.

RunPod keeps only the newest update of a job, and drops it when the job ends. So each update shows the process as it is
now, its progress included, with its newest event that is not progress.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lorapod.clock import Clock
from lorapod.events.models import Event
from lorapod.events.port import Callback, Parcel

#: Longest wait between two looks at whether an update is due.
_LOOK_S = 1.0

#: Sends one progress update of an open RunPod job; never blocks.
SendUpdate = Callable[[Mapping[str, Any]], None]


class JobUpdates:
    """The updates of one open job; safe for any thread."""

    def __init__(
        self,
        send: SendUpdate,
        clock: Clock,
        *,
        interval_s: float,
        newest: Event | None = None,
    ) -> None:
        """Send no update yet.

        Args:
            send: sends one update.
            clock: measures the interval.
            interval_s: seconds between two updates of which only the progress differs.
            newest: the process's newest event so far.
        """
        self._send = send
        self._clock = clock
        self._interval_s = interval_s
        self._steady = False
        self._newest = newest
        self._lock = threading.Lock()
        self._state: object = None
        self._view: Callable[[], Mapping[str, Any]] | None = None
        self._due_s = 0.0
        #: Whether the view is newer than the last update.
        self._unsent = False
        self._closed = False

    def show(self, state: object, view: Callable[[], Mapping[str, Any]], *, steady: bool = False) -> None:
        """Send how the process is now: at once if `state` is new, else once `interval_s` is over.

        With `steady`, `keep_current` sends it again after each `interval_s`, also if nothing has changed.
        """
        with self._lock:
            self._view, self._unsent, self._steady = view, True, steady
            if state != self._state or self._clock.monotonic() >= self._due_s:
                self._state = state
                self._update(view)

    async def keep_current(self) -> None:
        """Send what `show` left unsent once it is due, until this is cancelled: no later change may come for long."""
        while True:
            left_s = self._due_s - self._clock.monotonic()
            await asyncio.sleep(left_s if left_s > 0 else min(self._interval_s, _LOOK_S))
            self.send_due()

    def send_due(self) -> None:
        """Send the present view if it is due and not sent yet, or steady."""
        with self._lock:
            if self._view is None or self._clock.monotonic() < self._due_s:
                return
            if self._unsent or self._steady:
                self._update(self._view)

    def send_event(self, event: Event) -> None:
        """Send an event at once."""
        with self._lock:
            self._newest = event
            if self._view is not None:
                self._update(self._view)

    def close(self) -> None:
        """Send no more updates: the job's result comes next."""
        with self._lock:
            self._closed = True

    def _update(self, view: Callable[[], Mapping[str, Any]]) -> None:
        if self._closed:
            return
        self._due_s = self._clock.monotonic() + self._interval_s
        self._unsent = False
        newest = self._newest
        event = {} if newest is None else {"last_event": newest.model_dump(mode="json", exclude_none=True)}
        self._send({**view(), **event})


class RunPodSink:
    """An `EventSink` for the jobs that wait for a process on this worker. A job that attaches later gets the newest event."""

    name = "runpod"
    #: Each update has everything that a caller needs: a lost one need not be sent again.
    durable = False
    patience_s: float | None = None

    def __init__(self, clock: Clock, *, interval_s: float) -> None:
        """Start without jobs; if nothing but progress happens, updates are `interval_s` seconds apart."""
        self._clock = clock
        self._interval_s = interval_s
        self._open: dict[str, list[JobUpdates]] = {}
        #: By process, until its run ends.
        self._newest: dict[str, Event] = {}
        self._lock = threading.Lock()

    def wants(self, callback: Callback | None) -> bool:
        """Return True: a job may attach to any process later."""
        del callback
        return True

    @contextmanager
    def attach(
        self, process_id: str, send: SendUpdate, *, interval_max_s: float | None = None
    ) -> Iterator[JobUpdates]:
        """Send updates of one process to one job while the context is open.

        Args:
            process_id: the process.
            send: sends one update; may be called from any thread, never blocks.
            interval_max_s: shortens the interval between two updates of which only the progress differs.
        """
        with self._lock:
            updates = JobUpdates(
                send,
                self._clock,
                interval_s=min(self._interval_s, interval_max_s or self._interval_s),
                newest=self._newest.get(process_id),
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
        """Send events to each job that waits for the process."""
        for event in parcel.events:
            self._pass_on(event)
        return len(parcel.events)

    async def close(self) -> None:
        """Do nothing: no connection is open."""

    def _pass_on(self, event: Event) -> None:
        if event.event_type.of_progress:
            return
        with self._lock:
            if event.event_type.last:
                # The job's result contains it.
                self._newest.pop(event.process_id, None)
                return
            self._newest[event.process_id] = event
            updates = list(self._open.get(event.process_id, ()))
        for update in updates:
            update.send_event(event)
