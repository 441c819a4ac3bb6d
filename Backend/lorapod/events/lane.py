"""Deliver the events of one process to one sink: in order, and again until each has arrived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from lorapod.clock import Clock
from lorapod.events.models import Event
from lorapod.events.outbox import Outbox, OutboxPage, Position
from lorapod.events.port import Callback, EventSink, Parcel, SinkUnavailable

logger = logging.getLogger(__name__)

#: Most events in one parcel.
PARCEL_EVENTS = 256
#: The waits after a failure double from the first to the longest.
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
#: A sink that takes longer for one parcel has a defect.
DELIVER_S = 60.0


@dataclass(kw_only=True)
class DeliveredProcess:
    """A process whose events this worker delivers; shared by all lanes of the process."""

    #: The newest part that this worker wrote. If there is a newer one, another worker holds the process and delivers.
    newest: str
    callback: Callback | None


class Lane:
    """Delivers the outbox of one process to one sink; runs as a task on the courier's event loop."""

    def __init__(
        self,
        sink: EventSink,
        outbox: Outbox,
        process: DeliveredProcess,
        position: Position,
        *,
        clock: Clock,
        on_recovery: Callable[[EventSink], None],
    ) -> None:
        """Start after `position`; `on_recovery` is called when a delivery succeeds after a failure."""
        self.sink = sink
        self.position = position
        #: Why the last delivery failed; None: it succeeded.
        self.error: str | None = None
        #: Another worker delivers the process now, or a part that this worker wrote is gone.
        self.given_up = False
        #: Whether there was nothing to deliver at the last look.
        self.idle = False
        self._outbox = outbox
        self._process = process
        self._clock = clock
        self._on_recovery = on_recovery
        self._changed = asyncio.Event()
        self._retry = asyncio.Event()
        self._wait_s = FIRST_WAIT_S

    def wake(self) -> None:
        """Look into the outbox again."""
        self.idle = False
        self._changed.set()

    def catch_up(self, position: Position) -> None:
        """Skip what another worker has delivered meanwhile."""
        self.position = max(self.position, position)

    def retry_now(self) -> None:
        """End the wait after a failure: the sink is back."""
        self._retry.set()

    async def run(self) -> None:
        """Deliver until the last event of the newest run has arrived."""
        while True:
            self._changed.clear()
            try:
                page = await asyncio.to_thread(self._outbox.read, self.position, PARCEL_EVENTS)
            except OSError as error:
                self._log("events cannot be read", reason=str(error))
                await self._back_off()
                continue
            if page.newest != self._process.newest:
                self.given_up = True
                return
            if page.events:
                await self._deliver(page)
            elif page.end != self.position:
                # Only lines that this worker cannot read, damaged or of a newer version: what follows them counts.
                await self._advance(page.end)
            elif self.position.ended and self.position.part == page.newest:
                return
            else:
                self.idle = not self._changed.is_set()
                await self._changed.wait()

    async def _deliver(self, page: OutboxPage) -> None:
        chosen = merged(page.events) if self.error is not None else page.events
        parcel = Parcel(
            process_id=self._outbox.process_id,
            events=[event for event, _ in chosen],
            callback=self._process.callback,
        )
        try:
            count = await self._count_delivered(parcel)
        except SinkUnavailable as error:
            await self._fail(str(error), page)
            return
        await self._advance(page.end if count == len(chosen) else chosen[count - 1][1])
        if self.error is not None:
            self.error, self._wait_s = None, FIRST_WAIT_S
            self._on_recovery(self.sink)

    async def _count_delivered(self, parcel: Parcel) -> int:
        """Call the sink, and return how many events it has delivered, at least one.

        Raises:
            SinkUnavailable: none; also if the sink raises anything else or returns something that is no such number.
        """
        try:
            async with asyncio.timeout(DELIVER_S):
                count: object = await self.sink.deliver(parcel)
        except SinkUnavailable:
            raise
        except TimeoutError as error:
            raise SinkUnavailable("it does not answer in time") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise SinkUnavailable("it cancelled its own delivery") from error
        except Exception as error:
            # The top of a task: the sink may be a plug-in.
            logger.exception("sink failed", extra={"sink": self.sink.name})
            raise SinkUnavailable("it has a defect; the worker's log has the details") from error
        if not isinstance(count, int) or not 0 <= count <= len(parcel.events):
            raise SinkUnavailable(f"it has a defect: it returned {count!r} for {len(parcel.events)} events")
        if count == 0:
            raise SinkUnavailable("nothing arrived")
        return count

    async def _fail(self, reason: str, page: OutboxPage) -> None:
        if self.error is None:
            self._log("events cannot be delivered", sink=self.sink.name, reason=reason)
        self.error = reason
        if not self.sink.durable:
            await self._advance(page.end)
        elif (expired := self._expired(page)) is not None:
            await self._advance(expired)
        await self._back_off()

    def _expired(self, page: OutboxPage) -> Position | None:
        """Return the position after the events that are too old to be sent; None: no event is."""
        if self.sink.patience_s is None:
            return None
        since = self._clock.now() - timedelta(seconds=self.sink.patience_s)
        expired = [after for event, after in page.events if event.timestamp < since]
        if not expired:
            return None
        self._log("events are given up", sink=self.sink.name, count=len(expired))
        return expired[-1]

    async def _advance(self, position: Position) -> None:
        self.position = position
        if not self.sink.durable:
            return
        try:
            await asyncio.to_thread(self._outbox.keep_delivered, self.sink.name, position)
        except OSError as error:
            # After a restart these events would be delivered a second time: better than never.
            self._log("delivery cannot be recorded", reason=str(error))

    async def _back_off(self) -> None:
        """Wait after a failure, each time longer, or until `retry_now`."""
        self._retry.clear()
        wait_s, self._wait_s = self._wait_s, min(LONGEST_WAIT_S, self._wait_s * 2)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._retry.wait(), wait_s)

    def _log(self, message: str, **fields: object) -> None:
        logger.warning(message, extra={"process_id": self._outbox.process_id, **fields})


def wants(sink: EventSink, callback: Callback | None) -> bool:
    """Ask a sink whether it wants the events of a process; one with a defect gets none, and stops no training."""
    try:
        return sink.wants(callback)
    except Exception:
        logger.exception("sink failed", extra={"sink": sink.name})
        return False


async def close_sink(sink: EventSink) -> None:
    """Close a sink; one with a defect keeps none of the others open."""
    try:
        await sink.close()
    except Exception:
        logger.exception("sink failed", extra={"sink": sink.name})


def merged(events: Sequence[tuple[Event, Position]]) -> Sequence[tuple[Event, Position]]:
    """Return the events without progress that is outdated by later progress or by the end of the run."""
    kept: list[tuple[Event, Position]] = []
    superseded = False
    for event, position in reversed(events):
        if not event.event_type.of_progress:
            superseded = superseded or event.event_type.last
        elif superseded:
            continue
        else:
            superseded = True
        kept.append((event, position))
    return kept[::-1]
