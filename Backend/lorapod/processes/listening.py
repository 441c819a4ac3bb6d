"""Hearing of a process's changes, from a thread or on an event loop, on whatever worker it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from lorapod.processes.record import ProcessRecord

if TYPE_CHECKING:
    from lorapod.processes.manager import RealProcessManager

Listener = Callable[[ProcessRecord], None]

#: Between two looks at a process that another worker holds.
REMOTE_POLL_S = 1.0


class Listeners:
    """Who wants to hear of which process; safe for any thread."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._listeners: dict[str, list[Listener]] = {}
        self._lock = threading.Lock()

    def add(self, process_id: str, listener: Listener) -> None:
        """Call `listener`, in the supervisor's thread, at every change of a process that this worker holds."""
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
        """Call everybody who listens to this process."""
        with self._lock:
            listeners = list(self._listeners.get(record.process_id, ()))
        for listener in listeners:
            listener(record)


async def wait_until(
    manager: RealProcessManager,
    process_id: str,
    reached: Callable[[ProcessRecord], bool],
    on_change: Listener | None = None,
) -> ProcessRecord:
    """Wait until a process has reached something, wherever it runs.

    Args:
        manager: this worker's.
        process_id: which process.
        reached: says whether a record is what is waited for.
        on_change: called on the event loop, now and at every change.

    Raises:
        NotFound: there is no such process.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def wake(_record: ProcessRecord) -> None:
        loop.call_soon_threadsafe(changed.set)

    manager.listeners.add(process_id, wake)
    try:
        while True:
            changed.clear()
            record = await asyncio.to_thread(manager.get, process_id)
            if on_change is not None:
                on_change(record)
            if reached(record):
                return record
            patience_s = None if manager.holds(process_id) else REMOTE_POLL_S
            try:
                await asyncio.wait_for(changed.wait(), patience_s)
            except TimeoutError:
                continue
    finally:
        manager.listeners.remove(process_id, wake)
