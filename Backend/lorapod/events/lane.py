"""One sink's way through the events of one process: in order, again and again until each has arrived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from lorapod.clock import Clock
from lorapod.events.models import Event, EventType
from lorapod.events.outbox import Outbox, Page, Position
from lorapod.events.port import Callback, EventSink, Parcel, SinkUnavailable

logger = logging.getLogger(__name__)

#: Events of one parcel at most.
PARCEL_EVENTS = 256
#: Waits after a failure: they double from the first to the longest.
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
    """Delivers what an outbox holds; a task on the courier's event loop."""

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
        """Begin behind `position`; `on_recovery` is called when something arrives after a failure."""
        self.sink = sink
        self.position = position
        #: Why the last try failed; None: it did not.
        self.error: str | None = None
        #: Another worker has the process now, or one of this one's own parts is gone.
        self.given_up = False
        #: Whether there was nothing to deliver when it last looked.
        self.idle = False
        self._outbox = outbox
        self._process = process
        self._clock = clock
        self._on_recovery = on_recovery
        self._news = asyncio.Event()
        self._hope = asyncio.Event()
        self._wait_s = FIRST_WAIT_S

    def wake(self) -> None:
        """There is something new."""
        self.idle = False
        self._news.set()

    def catch_up(self, position: Position) -> None:
        """Another worker has come as far as this meanwhile."""
        self.position = max(self.position, position)

    def revive(self) -> None:
        """The other side is back: there is no need to wait any longer."""
        self._hope.set()

    async def run(self) -> None:
        """Until the last event of the newest run has arrived."""
        while True:
            self._news.clear()
            try:
                page = await asyncio.to_thread(self._outbox.read, self.position, PARCEL_EVENTS)
            except OSError as error:
                logger.warning(
                    "events cannot be read",
                    extra={"process_id": self._outbox.process_id, "reason": str(error)},
                )
                await self._rest()
                continue
            if page.newest != self._process.newest:
                self.given_up = True
                return
            if page.events:
                await self._deliver(page)
            elif self.position.ended and self.position.part == page.newest:
                return
            else:
                self.idle = not self._news.is_set()
                await self._news.wait()

    async def _deliver(self, page: Page) -> None:
        chosen = merged(page.events) if self.error is not None else page.events
        parcel = Parcel(
            process_id=self._outbox.process_id,
            events=[event for event, _ in chosen],
            callback=self._process.callback,
        )
        try:
            async with asyncio.timeout(DELIVER_S):
                count = await self.sink.deliver(parcel)
        except SinkUnavailable as error:
            await self._failed(str(error), page)
        except TimeoutError:
            await self._failed("it does not answer in time", page)
        except Exception:
            # The top of a task: a sink may be anybody's.
            logger.exception("sink failed", extra={"sink": self.sink.name})
            await self._failed("it has a defect; the worker's log has the details", page)
        else:
            if count == 0:
                await self._failed("nothing arrived", page)
                return
            await self._move(page.events[-1][1] if count == len(chosen) else chosen[count - 1][1])
            if self.error is not None:
                self.error, self._wait_s = None, FIRST_WAIT_S
                self._on_recovery(self.sink)

    async def _failed(self, reason: str, page: Page) -> None:
        if self.error is None:
            logger.warning(
                "events cannot be delivered",
                extra={"process_id": self._outbox.process_id, "sink": self.sink.name, "reason": reason},
            )
        self.error = reason
        if not self.sink.durable:
            await self._move(page.events[-1][1])
        elif (stale := self._stale(page)) is not None:
            await self._move(stale)
        await self._rest()

    def _stale(self, page: Page) -> Position | None:
        """The position behind what has waited too long."""
        if self.sink.patience_s is None:
            return None
        since = self._clock.now() - timedelta(seconds=self.sink.patience_s)
        stale = [behind for event, behind in page.events if event.timestamp < since]
        if not stale:
            return None
        logger.warning(
            "events are given up",
            extra={"process_id": self._outbox.process_id, "sink": self.sink.name, "count": len(stale)},
        )
        return stale[-1]

    async def _move(self, position: Position) -> None:
        self.position = position
        if not self.sink.durable:
            return
        try:
            await asyncio.to_thread(self._outbox.keep_delivered, self.sink.name, position)
        except OSError as error:
            # After a restart these events would come a second time: better than never.
            logger.warning(
                "delivery cannot be noted",
                extra={"process_id": self._outbox.process_id, "reason": str(error)},
            )

    async def _rest(self) -> None:
        """After a failure, until it is time for another try."""
        self._hope.clear()
        wait_s, self._wait_s = self._wait_s, min(LONGEST_WAIT_S, self._wait_s * 2)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hope.wait(), wait_s)


def merged(events: Sequence[tuple[Event, Position]]) -> Sequence[tuple[Event, Position]]:
    """Events without the progress that later progress, or the end, makes old."""
    kept: list[tuple[Event, Position]] = []
    superseded = False
    for event, position in reversed(events):
        if event.event_type is not EventType.PROGRESS:
            superseded = superseded or event.event_type.last
        elif superseded:
            continue
        else:
            superseded = True
        kept.append((event, position))
    return kept[::-1]
