"""What every event sink must do, run against each of them."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.servers.consumer import Consumer
from tests.servers.rabbitmq import RunningRabbitMQ
from tests.servers.receiver import receiving

from lorapod.events.callback import CallbackSink
from lorapod.events.event_types import EventType
from lorapod.events.log import LogSink
from lorapod.events.models import Event
from lorapod.events.port import Callback, EventSink, Parcel
from lorapod.events.rabbitmq import RabbitMQSink
from lorapod.events.runpod import RunPodSink
from lorapod.testing.clock import FakeClock
from lorapod.testing.events import PROCESS_ID, MemorySink, sample_event

OTHER_ID = "train_ba9876543210"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A sink, and what comes out at its other end: bodies as they arrived."""

    sink: EventSink
    received: Callable[[], Awaitable[Sequence[dict[str, object]]]]
    callback: Callback | None = None
    #: What comes out; the rest is told another way.
    kinds: frozenset[EventType] = frozenset(EventType)

    def parcel(self, *events: Event) -> Parcel:
        return Parcel(process_id=events[0].process_id, events=events, callback=self.callback)


Opening = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Line]]


@asynccontextmanager
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    sink = MemorySink()

    async def received() -> Sequence[dict[str, object]]:
        return [json.loads(event.body()) for event in sink.events]

    yield Line(sink=sink, received=received)


@asynccontextmanager
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    caplog: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
    caplog.set_level(logging.INFO, logger="lorapod.events.log")

    async def received() -> Sequence[dict[str, object]]:
        return [
            {
                "event_type": record.getMessage(),
                **{name: getattr(record, name) for name in ("process_id", "job_id", "sequence", "data")},
            }
            for record in caplog.records
        ]

    yield Line(sink=LogSink(), received=received)


@asynccontextmanager
async def callback(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    async with receiving() as receiver:

        async def received() -> Sequence[dict[str, object]]:
            return [posted.event for posted in receiver.posted]

        yield Line(
            sink=CallbackSink(allow_private=True), received=received, callback=Callback(url=receiver.url)
        )


@asynccontextmanager
async def rabbitmq(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    server: RunningRabbitMQ = request.getfixturevalue("rabbitmq_server")
    exchange = f"events-{secrets.token_hex(4)}"
    consumer = Consumer(server, exchange, bindings="#")

    async def received() -> Sequence[dict[str, object]]:
        return await asyncio.to_thread(consumer.drain)

    yield Line(sink=RabbitMQSink(server.url, exchange), received=received)


@asynccontextmanager
async def runpod(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    sink = RunPodSink(FakeClock(), interval_s=30.0)
    sent: list[Mapping[str, Any]] = []

    async def received() -> Sequence[dict[str, object]]:
        return [update["last_event"] for update in sent if "last_event" in update]

    with sink.attach(PROCESS_ID, sent.append) as first, sink.attach(OTHER_ID, sent.append) as second:
        first.show("running", dict)
        second.show("running", dict)
        # A job shows progress with every update, and its result is the end.
        told = frozenset(kind for kind in EventType if not (kind.last or kind.of_progress))
        yield Line(sink=sink, received=received, kinds=told)


OPENINGS: tuple[Opening, ...] = (memory, log, callback, rabbitmq, runpod)


@pytest.fixture(params=OPENINGS, ids=lambda opening: opening.__name__)
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    opening: Opening = request.param
    async with opening(request) as opened:
        yield opened
        await opened.sink.close()


def shown(event: Event) -> dict[str, object]:
    body: dict[str, object] = json.loads(event.body())
    return body


async def test_every_type_arrives_in_order(line: Line) -> None:
    events = [sample_event(number, kind) for number, kind in enumerate(EventType, start=1)]
    assert await line.sink.deliver(line.parcel(*events)) == len(events)
    told = [event for event in events if event.event_type in line.kinds]
    for came, event in zip(await line.received(), told, strict=True):
        # A log tells no id: nothing is ever made up for there.
        assert came.items() <= shown(event).items()


async def test_it_says_whom_it_serves(line: Line) -> None:
    assert line.sink.wants(Callback(url="https://example.com/hook"))
    assert line.sink.wants(None) is (line.callback is None)


async def test_processes_do_not_wait_for_each_other(line: Line) -> None:
    first = [sample_event(number, EventType.CHECKPOINT) for number in range(1, 51)]
    second = [sample_event(number, EventType.CHECKPOINT, process_id=OTHER_ID) for number in range(1, 51)]
    counts = await asyncio.gather(
        line.sink.deliver(line.parcel(*first)), line.sink.deliver(line.parcel(*second))
    )
    assert list(counts) == [50, 50]
    came = await line.received()
    for process_id in (PROCESS_ID, OTHER_ID):
        assert [body["sequence"] for body in came if body["process_id"] == process_id] == list(range(1, 51))


async def test_it_can_be_closed_unused_and_twice(line: Line) -> None:
    began = time.monotonic()
    await line.sink.close()
    await line.sink.close()
    assert time.monotonic() - began < 3


async def test_it_is_named_plainly(line: Line) -> None:
    assert line.sink.name.isascii()
    assert line.sink.name.isalpha()
    assert line.sink.name.islower()
