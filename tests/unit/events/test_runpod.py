from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from lorapod.clock import SystemClock
from lorapod.events.event_types import EventType
from lorapod.events.port import Parcel
from lorapod.events.runpod import RunPodSink
from lorapod.testing.clock import FakeClock
from lorapod.testing.events import PROCESS_ID, sample_event

OTHER_ID = "train_ba9876543210"
INTERVAL_S = 30.0


class Office:
    """A sink, the jobs that wait, and what each of them was sent."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sink = RunPodSink(self.clock, interval_s=INTERVAL_S)
        self.sent: list[dict[str, Any]] = []

    def send(self, update: Mapping[str, Any]) -> None:
        self.sent.append(dict(update))

    async def tell(self, *kinds: EventType, process_id: str = PROCESS_ID) -> None:
        events = [sample_event(number, kind, process_id=process_id) for number, kind in enumerate(kinds, 1)]
        assert await self.sink.deliver(Parcel(process_id=process_id, events=events)) == len(events)

    @property
    def last_events(self) -> list[str | None]:
        return [update.get("last_event", {}).get("event_type") for update in self.sent]


@pytest.fixture
def office() -> Office:
    return Office()


def test_progress_is_shown_now_and_then_and_a_new_state_at_once(office: Office) -> None:
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        for step, state in enumerate(["queued", "running", "running", "running"]):
            updates.show(state, partial(dict, step=step))
        assert office.sent == [{"step": 0}, {"step": 1}]
        office.clock.advance(INTERVAL_S)
        updates.show("running", lambda: {"step": 9})
        updates.show("running", lambda: {"step": 10})
    assert office.sent == [{"step": 0}, {"step": 1}, {"step": 9}]


def test_a_change_that_came_too_early_is_sent_once_it_is_due(office: Office) -> None:
    """No later change may come for long: the last one would never be seen."""
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        updates.show("running", lambda: {"step": 1})
        updates.show("running", lambda: {"step": 2})
        updates.send_due()
        assert office.sent == [{"step": 1}]
        office.clock.advance(INTERVAL_S)
        updates.send_due()
        office.clock.advance(INTERVAL_S)
        updates.send_due()
    assert office.sent == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize(("wished_s", "interval_s"), [(5.0, 5.0), (120.0, INTERVAL_S)])
def test_steady_updates_come_without_a_change(office: Office, wished_s: float, interval_s: float) -> None:
    with office.sink.attach(PROCESS_ID, office.send, interval_max_s=wished_s) as updates:
        updates.show("running", lambda: {"step": 1}, steady=True)
        for _ in range(3):
            office.clock.advance(interval_s - 0.1)
            updates.send_due()
            office.clock.advance(0.1)
            updates.send_due()
        assert office.sent == [{"step": 1}] * 4
        updates.show("queued", lambda: {"step": 2})
        office.clock.advance(2 * interval_s)
        updates.send_due()
    assert office.sent[4:] == [{"step": 2}]


async def test_what_is_due_is_sent_without_being_asked_for(office: Office) -> None:
    came = asyncio.Event()

    def send(update: Mapping[str, Any]) -> None:
        office.send(update)
        if len(office.sent) == 3:
            came.set()

    sink = RunPodSink(SystemClock(), interval_s=0.01)
    with sink.attach(PROCESS_ID, send) as updates:
        keeping = asyncio.create_task(updates.keep_current())
        updates.show("running", dict, steady=True)
        async with asyncio.timeout(10):
            await came.wait()
        keeping.cancel()


async def test_what_happened_is_told_at_once_with_the_newest_view(office: Office) -> None:
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        updates.show("running", lambda: {"step": 1})
        updates.show("running", lambda: {"step": 2})
        await office.tell(EventType.SAMPLE)
        assert office.sent[-1]["step"] == 2
        assert office.sent[-1]["last_event"]["data"]["path"] == "output/cat.png"
        # It stays for whoever looks later.
        updates.show("stopping", lambda: {"step": 3})
    assert office.last_events == [None, "training.sample", "training.sample"]


async def test_progress_is_in_the_view_already(office: Office) -> None:
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        updates.show("running", dict)
        await office.tell(EventType.PROGRESS, EventType.PROGRESS)
    assert office.sent == [{}]


async def test_an_event_is_an_update_so_the_next_has_time(office: Office) -> None:
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        updates.show("running", dict)
        office.clock.advance(INTERVAL_S - 1)
        await office.tell(EventType.CHECKPOINT)
        office.clock.advance(INTERVAL_S - 1)
        updates.show("running", dict)
        assert len(office.sent) == 2
        office.clock.advance(1)
        updates.show("running", dict)
    assert len(office.sent) == 3


async def test_who_attaches_later_sees_what_happened_before(office: Office) -> None:
    await office.tell(EventType.STARTED, EventType.CHECKPOINT)
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        updates.show("running", dict)
    assert office.last_events == ["training.checkpoint"]


@pytest.mark.parametrize("kind", [kind for kind in EventType if kind.last])
async def test_the_end_is_told_by_the_result_and_forgotten(office: Office, kind: EventType) -> None:
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        updates.show("running", dict)
        await office.tell(EventType.CHECKPOINT, kind)
        assert office.last_events == [None, "training.checkpoint"]
    office.sent.clear()
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        updates.show("running", dict)
    assert office.last_events == [None]


async def test_nothing_comes_after_the_job_has_left(office: Office) -> None:
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        updates.show("running", dict)
    updates.show("completed", dict)
    await office.tell(EventType.CHECKPOINT)
    assert len(office.sent) == 1


async def test_each_job_hears_of_its_own_process_and_of_no_other(office: Office) -> None:
    other: list[Mapping[str, Any]] = []
    twin: list[Mapping[str, Any]] = []
    with (
        office.sink.attach(PROCESS_ID, office.send) as first,
        office.sink.attach(PROCESS_ID, twin.append) as second,
        office.sink.attach(OTHER_ID, other.append) as third,
    ):
        for updates in (first, second, third):
            updates.show("running", dict)
        await office.tell(EventType.SAMPLE)
    assert [len(office.sent), len(twin), len(other)] == [2, 2, 1]


async def test_a_job_that_has_shown_nothing_yet_is_not_told_of_events_alone(office: Office) -> None:
    """The first update names the process, whatever comes first."""
    with office.sink.attach(PROCESS_ID, office.send) as updates:
        await office.tell(EventType.STARTED)
        assert office.sent == []
        updates.show("running", lambda: {"process_id": PROCESS_ID})
    assert [update["process_id"] for update in office.sent] == [PROCESS_ID]
    assert office.last_events == ["training.started"]


def test_an_update_is_never_older_than_the_one_before(office: Office) -> None:
    """Views and events come from two threads."""
    steps: list[int] = []
    now = iter(range(1_000_000))
    with office.sink.attach(PROCESS_ID, lambda update: steps.append(update["step"])) as updates:
        updates.show("running", lambda: {"step": next(now)})

        def tell() -> None:
            for number in range(500):
                updates.send_event(sample_event(number + 1, EventType.CHECKPOINT))

        thread = threading.Thread(target=tell)
        thread.start()
        for number in range(500):
            updates.show(number, lambda: {"step": next(now)})
        thread.join()
    assert steps == sorted(steps)
    assert len(steps) == 1001
