"""What every event sink must do, run against each of them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from lorapod.events.log import LogSink
from lorapod.events.models import Event, EventType
from lorapod.events.port import EventSink, Parcel
from lorapod.testing.events import PROCESS_ID, MemorySink, sample_event

OTHER_ID = "train_ba9876543210"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A sink, and what comes out at its other end: bodies as they arrived."""

    sink: EventSink
    received: Callable[[], Awaitable[Sequence[dict[str, object]]]]


def memory(request: pytest.FixtureRequest) -> Iterator[Line]:
    sink = MemorySink()

    async def received() -> Sequence[dict[str, object]]:
        return [json.loads(event.body()) for event in sink.events]

    yield Line(sink=sink, received=received)


def log(request: pytest.FixtureRequest) -> Iterator[Line]:
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


@pytest.fixture(params=[memory, log], ids=lambda opening: opening.__name__)
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    yield from request.param(request)


def parcel(*events: Event) -> Parcel:
    return Parcel(process_id=events[0].process_id, events=events)


def shown(event: Event) -> dict[str, object]:
    body: dict[str, object] = json.loads(event.body())
    return body


async def test_every_type_arrives_in_order(line: Line) -> None:
    events = [sample_event(number, kind) for number, kind in enumerate(EventType, start=1)]
    assert await line.sink.deliver(parcel(*events)) == len(events)
    for came, event in zip(await line.received(), events, strict=True):
        # A log tells no id: nothing is ever made up for there.
        assert came.items() <= shown(event).items()
    await line.sink.close()


async def test_processes_do_not_wait_for_each_other(line: Line) -> None:
    first = [sample_event(number) for number in range(1, 51)]
    second = [sample_event(number, process_id=OTHER_ID) for number in range(1, 51)]
    counts = await asyncio.gather(line.sink.deliver(parcel(*first)), line.sink.deliver(parcel(*second)))
    assert list(counts) == [50, 50]
    came = await line.received()
    for process_id in (PROCESS_ID, OTHER_ID):
        assert [body["sequence"] for body in came if body["process_id"] == process_id] == list(range(1, 51))
    await line.sink.close()


async def test_it_can_be_closed_unused_and_twice(line: Line) -> None:
    began = time.monotonic()
    await line.sink.close()
    await line.sink.close()
    assert time.monotonic() - began < 3


def test_it_is_named_plainly(line: Line) -> None:
    assert line.sink.name.isascii()
    assert line.sink.name.isalpha()
    assert line.sink.name.islower()
