"""Deliver events: one thread of the worker with an event loop, and a task for each process and sink."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from lorapod.clock import Clock
from lorapod.deadline import Deadline
from lorapod.events.lane import DeliveredProcess, Lane, close_sink, wants
from lorapod.events.outbox import Outbox, Position
from lorapod.events.port import Callback, EventSink, SinkState
from lorapod.lease import LeaseState
from lorapod.processes.order import SealedCallback
from lorapod.safety.vault import Vault
from lorapod.work_marker import RENEW_S, WorkMarker
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: Between two calls of `tick`.
TICK_S = 1.0
#: Between two looks whether everything is delivered, when the worker stops.
SETTLE_TICK_S = 0.05
#: What of a shutdown's time is kept for sinks to close their connections, in seconds.
CLOSE_S = 1.0


@dataclass(kw_only=True)
class _ActiveProcess(DeliveredProcess):
    """A process whose events this worker delivers, with a lane for each sink."""

    lanes: dict[str, Lane] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class Courier:
    """Delivers the outboxes of this worker's processes; safe for any thread. No method waits for a sink but `close`."""

    def __init__(
        self, *, workspace: Workspace, clock: Clock, sinks: Sequence[EventSink], vault: Vault | None = None
    ) -> None:
        """Start nothing."""
        self._workspace = workspace
        self._clock = clock
        self._sinks = sinks
        self._vault = vault or Vault()
        self._marker = WorkMarker(workspace.processes / ".events", clock)
        #: A mark must not be set again by a sweep that began before it was removed.
        self._marking = threading.Lock()
        self._active: dict[str, _ActiveProcess] = {}
        #: Tasks that end by themselves soon.
        self._departing: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()
        self._deadline = Deadline.after(0.0)
        self._thread: threading.Thread | None = None

    def start(self, *, tick: Callable[[], None], take_up: Callable[[str], None]) -> None:
        """Start to deliver, and to take over what dead workers left undelivered; returns at once.

        Args:
            tick: writes what is new of this worker's processes to their outboxes; called about every second.
            take_up: called with a process whose worker is gone; if it has ended, completes its outbox and calls `begin`.
                Both are called on one thread of the courier at a time.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop, tick, take_up), name="events", daemon=True
        )
        self._thread.start()

    def begin(self, outbox: Outbox, part: str, callback: SealedCallback | None) -> None:
        """Deliver all events of a process from now on, those that other workers left included.

        Args:
            outbox: of the process.
            part: the newest part, which this worker writes or takes over.
            callback: where its caller wants its events.

        Raises:
            OSError: it cannot be recorded that there is something to deliver.
        """
        opened = self._opened(callback)
        positions: dict[str, Position] = {}
        for sink in self._sinks:
            if not wants(sink, opened):
                continue
            if not sink.durable:
                # A sink that keeps no position gets only what happens from now on.
                positions[sink.name] = Position(part=part)
            elif (kept := outbox.delivered(sink.name)) is not None:
                positions[sink.name] = kept
            else:
                # A worker that does not have this sink must not regard the process as delivered.
                positions[sink.name] = Position()
                outbox.keep_delivered(sink.name, Position())
        self._marker.set(outbox.process_id)
        self._call(self._begin, outbox, part, opened, positions)

    def seal(self, url: str, token: SecretStr | None) -> SealedCallback:
        """Return a callback in the form that is stored: its token can be read only with the key of the same vault."""
        return SealedCallback(url=url, token=None if token is None else self._vault.seal(token))

    def notify(self, process_id: str) -> None:
        """Have the outbox of a process read: there is a new event in it."""
        self._call(self._wake, process_id)

    def states(self) -> Sequence[SinkState]:
        """Return the state of every durable sink; reads the outboxes.

        Raises:
            OSError: the disk failed.
        """
        states = {sink.name: SinkState(name=sink.name) for sink in self._sinks if sink.durable}
        for process_id, active in list(self._active.items()):
            outbox = Outbox(self._workspace, process_id)
            for name, lane in list(active.lanes.items()):
                if (state := states.get(name)) is not None:
                    states[name] = SinkState(
                        name=name,
                        undelivered=state.undelivered + outbox.count(lane.position),
                        error=state.error or lane.error,
                    )
        return list(states.values())

    def finished(self, process_id: str) -> bool:
        """Return True once every event of an ended process has been delivered."""
        return not self._marker.stands(process_id)

    def close(self, deadline: Deadline) -> None:
        """Deliver what can be delivered until `deadline`, and stop. The rest stays marked for another worker."""
        if self._thread is None:
            return
        self._deadline = deadline
        self._call(self._closing.set)
        # A volume that does not answer must not keep the worker.
        self._thread.join(deadline.left_s)
        if self._thread.is_alive():
            logger.warning("events are still being delivered at the end of the shutdown")

    def _call(self, function: Callable[..., object], *arguments: Any) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):
                # The loop is closed: the worker stops, and another one delivers the rest.
                self._loop.call_soon_threadsafe(function, *arguments)

    def _run(
        self, loop: asyncio.AbstractEventLoop, tick: Callable[[], None], take_up: Callable[[str], None]
    ) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                runner.run(self._serve(tick, take_up))
            except Exception:
                logger.exception("delivery of events failed")

    async def _serve(self, tick: Callable[[], None], take_up: Callable[[str], None]) -> None:
        ticks = asyncio.create_task(_repeat(TICK_S, tick))
        sweeps = asyncio.create_task(_repeat(RENEW_S, lambda: self._sweep(take_up)))
        await self._closing.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadline.reserving(CLOSE_S).left_s):
                while self._busy():  # noqa: ASYNC110 - what it waits for is the state of many tasks
                    await asyncio.sleep(SETTLE_TICK_S)
        tasks = [ticks, sweeps, *(task for active in self._active.values() for task in active.tasks.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._departing, return_exceptions=True)
        with suppress(TimeoutError):
            # `close` does not wait longer than its deadline; connections must be closed all the same.
            async with asyncio.timeout(max(CLOSE_S, self._deadline.left_s)):
                await asyncio.gather(*(close_sink(sink) for sink in self._sinks))

    def _busy(self) -> bool:
        """Return whether something may still arrive: a lane is at work and has not just failed."""
        return any(
            not active.tasks[name].done() and lane.error is None and not lane.idle
            for active in self._active.values()
            for name, lane in active.lanes.items()
        )

    def _sweep(self, take_up: Callable[[str], None]) -> None:
        """Renew the marks of what this worker delivers, and take up what is abandoned."""
        for process_id, active in list(self._active.items()):
            newest = Outbox(self._workspace, process_id).newest()
            with self._marking:
                if self._active.get(process_id) is not active:
                    continue
                mine = newest == active.newest
                lost = mine and self._marker.renew(process_id) is LeaseState.LOST
            if not mine:
                # Another worker has it: the lanes see that when they look.
                self._call(self._wake, process_id)
            elif lost:
                self._call(self._give_up, process_id)
        for process_id in self._marker.abandoned():
            if process_id in self._active:
                continue
            try:
                self._take_over(process_id, take_up)
            except Exception:
                logger.exception("events cannot be taken over", extra={"process_id": process_id})

    def _take_over(self, process_id: str, take_up: Callable[[str], None]) -> None:
        outbox = Outbox(self._workspace, process_id)
        if not outbox.newest():
            self._marker.remove(process_id)
        elif not (known := outbox.sinks()) or any(sink.name in known for sink in self._sinks):
            # Else no sink of this worker has anything left to deliver.
            take_up(process_id)

    def _opened(self, sealed: SealedCallback | None) -> Callback | None:
        if sealed is None:
            return None
        token = self._vault.open(sealed.token) if sealed.token is not None else None
        return Callback(url=sealed.url, token=token, locked=sealed.token is not None and token is None)

    def _begin(
        self, outbox: Outbox, part: str, callback: Callback | None, positions: Mapping[str, Position]
    ) -> None:
        if self._closing.is_set():
            return
        active = self._active.setdefault(outbox.process_id, _ActiveProcess(newest=part, callback=callback))
        active.newest, active.callback = max(active.newest, part), callback
        for sink in self._sinks:
            if sink.name not in positions:
                continue
            before = active.lanes.get(sink.name)
            if before is not None and not active.tasks[sink.name].done():
                before.catch_up(positions[sink.name])
                before.wake()
                continue
            lane = Lane(
                sink,
                outbox,
                active,
                positions[sink.name],
                clock=self._clock,
                on_recovery=self._recovered,
            )
            active.lanes[sink.name] = lane
            active.tasks[sink.name] = asyncio.create_task(self._run_lane(lane, active, outbox))
        if not active.tasks:
            self._finish(active, outbox)

    def _wake(self, process_id: str) -> None:
        active = self._active.get(process_id)
        for lane in active.lanes.values() if active is not None else ():
            lane.wake()

    def _give_up(self, process_id: str) -> None:
        """Stop to deliver a process that another worker delivers, because this one stood still."""
        if (active := self._active.get(process_id)) is not None:
            active.newest = ""
            self._wake(process_id)

    def _recovered(self, sink: EventSink) -> None:
        """Have all lanes try again at once if one server receives the events of all processes."""
        for active in self._active.values() if wants(sink, None) else ():
            if (lane := active.lanes.get(sink.name)) is not None:
                lane.retry_now()

    async def _run_lane(self, lane: Lane, active: _ActiveProcess, outbox: Outbox) -> None:
        await lane.run()
        if all(other is asyncio.current_task() or other.done() for other in active.tasks.values()):
            self._finish(active, outbox)

    def _finish(self, active: _ActiveProcess, outbox: Outbox) -> None:
        """Forget a process: this worker has nothing left to deliver of it."""
        self._active.pop(outbox.process_id, None)
        if not any(lane.given_up for lane in active.lanes.values()):
            task = asyncio.create_task(asyncio.to_thread(self._unmark, active, outbox))
            self._departing.add(task)
            task.add_done_callback(self._departing.discard)

    def _unmark(self, active: _ActiveProcess, outbox: Outbox) -> None:
        """Record that everything has arrived, unless another worker has something left to deliver."""
        mine = {sink.name for sink in self._sinks}
        if outbox.newest() == active.newest and mine.issuperset(outbox.sinks()):
            with self._marking:
                self._marker.remove(outbox.process_id)


async def _repeat(pause_s: float, work: Callable[[], None]) -> None:
    """Do something on a thread again and again."""
    while True:
        await asyncio.sleep(pause_s)
        try:
            await asyncio.to_thread(work)
        except Exception:
            # The top of a thread: the next round may succeed.
            logger.exception("upkeep of events failed")
