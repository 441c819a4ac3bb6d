from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.unit.events.courier_bench import CourierBench, eventually

from lorapod import work_marker
from lorapod.deadline import Deadline
from lorapod.events import courier, lane
from lorapod.events.event_types import EventType
from lorapod.events.outbox import Outbox, Position
from lorapod.events.port import Callback, Parcel
from lorapod.processes.order import SealedCallback
from lorapod.safety.vault import Vault
from lorapod.testing.events import PROCESS_ID, MemorySink, sample_event

STARTED, PROGRESS, CHECKPOINT = EventType.STARTED, EventType.PROGRESS, EventType.CHECKPOINT
COMPLETED = EventType.COMPLETED
OTHER_ID = "train_ba9876543210"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(lane, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(courier, "RENEW_S", 0.02)


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
async def office(tmp_path: Path, sink: MemorySink) -> AsyncIterator[CourierBench]:
    opened = CourierBench(tmp_path / "workspace", sink)
    opened.start()
    yield opened
    await asyncio.to_thread(opened.courier.close, Deadline.after(0))


def sequences(sink: MemorySink, process_id: str = PROCESS_ID) -> list[int]:
    return [event.sequence for event in sink.events if event.process_id == process_id]


async def test_what_is_told_arrives_in_order_and_the_mark_goes_with_the_last(
    office: CourierBench, sink: MemorySink
) -> None:
    office.begin()
    assert office.marked()
    office.tell(STARTED)
    await eventually(lambda: sequences(sink) == [1])
    office.tell(PROGRESS, PROGRESS, CHECKPOINT)
    await eventually(lambda: sequences(sink) == [1, 2, 3, 4])
    assert office.marked()
    office.tell(COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [1, 2, 3, 4, 5]


async def test_a_run_that_follows_is_delivered_behind_the_first(
    office: CourierBench, sink: MemorySink
) -> None:
    office.begin(1)
    office.tell(STARTED, EventType.INTERRUPTED)
    await eventually(lambda: not office.marked())
    office.begin(2)
    assert office.marked()
    office.tell(STARTED, COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [1, 2, 3, 4]


async def test_a_run_is_not_over_because_the_one_before_it_is(office: CourierBench, sink: MemorySink) -> None:
    office.begin(1)
    office.tell(STARTED, EventType.INTERRUPTED)
    await eventually(lambda: not office.marked())
    office.begin(2)
    # The lane looks before there is anything to see.
    active = office.courier._active
    await eventually(lambda: PROCESS_ID in active and active[PROCESS_ID].lanes["memory"].idle)
    office.tell(EventType.CANCELLED)
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [1, 2, 3]


async def test_a_sink_that_fails_gets_everything_later_but_progress_that_is_old(
    office: CourierBench, sink: MemorySink
) -> None:
    sink.failure = "away"
    office.begin()
    office.tell(STARTED)
    await eventually(lambda: sink.tries >= 1)
    office.tell(PROGRESS, CHECKPOINT, PROGRESS, PROGRESS)
    state = office.courier.states()[0]
    assert (state.name, state.undelivered, state.error) == ("memory", 5, "away")
    sink.failure = None
    await eventually(lambda: sequences(sink)[-1:] == [5])
    assert sequences(sink) == [1, 3, 5]
    office.tell(COMPLETED)
    await eventually(lambda: not office.marked())
    assert (office.courier.states()[0].undelivered, office.courier.states()[0].error) == (0, None)


async def test_what_arrived_of_a_parcel_does_not_come_again(office: CourierBench, sink: MemorySink) -> None:
    sink.at_once = 2
    office.begin()
    office.tell(STARTED, PROGRESS, CHECKPOINT, PROGRESS, COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [1, 2, 3, 4, 5]


@pytest.mark.expects_errors("sink failed")
async def test_a_sink_with_a_defect_ends_nothing(
    office: CourierBench, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, defects = sink.deliver, [ValueError("a defect")]

    async def deliver(parcel: object) -> int:
        if defects:
            raise defects.pop()
        return await whole(parcel)  # type: ignore[arg-type]

    monkeypatch.setattr(sink, "deliver", deliver)
    office.begin()
    office.tell(STARTED, COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [1, 2]


async def test_a_sink_that_hangs_holds_up_no_other_process(
    office: CourierBench, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sink.deliver
    over = asyncio.Event()

    async def deliver(parcel: object) -> int:
        if parcel.process_id == PROCESS_ID and not over.is_set():  # type: ignore[attr-defined]
            await asyncio.sleep(60)
        return await whole(parcel)  # type: ignore[arg-type]

    monkeypatch.setattr(lane, "DELIVER_S", 0.1)
    monkeypatch.setattr(sink, "deliver", deliver)
    office.begin()
    office.begin(process_id=OTHER_ID)
    office.tell(STARTED)
    office.tell(STARTED, COMPLETED, process_id=OTHER_ID)
    await eventually(lambda: not office.marked(OTHER_ID))
    assert sequences(sink) == []
    over.set()
    office.tell(COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [1, 4]


async def test_one_sink_does_not_wait_for_another(tmp_path: Path) -> None:
    good, bad = MemorySink("good"), MemorySink("bad")
    bad.failure = "away"
    office = CourierBench(tmp_path / "workspace", bad, good)
    office.start()
    office.begin()
    office.tell(STARTED, COMPLETED)
    await eventually(lambda: sequences(good) == [1, 2])
    assert office.marked()
    bad.failure = None
    await eventually(lambda: not office.marked())
    assert sequences(bad) == [1, 2]
    await asyncio.to_thread(office.courier.close, Deadline.after(0))


async def test_what_a_sink_without_a_memory_misses_it_misses(tmp_path: Path) -> None:
    log = MemorySink("log", durable=False)
    office = CourierBench(tmp_path / "workspace", log)
    office.start()
    log.failure = "deaf"
    office.begin()
    office.tell(STARTED)
    await eventually(lambda: log.tries == 1)
    log.failure = None
    office.tell(COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(log) == [2]
    assert list(office.outbox().sinks()) == []
    await asyncio.to_thread(office.courier.close, Deadline.after(0))


async def test_the_next_worker_delivers_what_a_dead_one_left(tmp_path: Path, sink: MemorySink) -> None:
    sink.failure = "away"
    dead = CourierBench(tmp_path / "workspace", sink)
    dead.start()
    dead.begin()
    dead.tell(STARTED, CHECKPOINT, COMPLETED)
    await eventually(lambda: sink.tries > 0)
    await asyncio.to_thread(dead.courier.close, Deadline.after(0))
    assert dead.marked()
    sink.failure = None

    other = CourierBench(tmp_path / "workspace", sink)
    other.start()
    await eventually(lambda: len(other.courier._marker._tracker._seen) == 1)
    assert other.taken_up == []
    other.clock.advance(work_marker.ABANDONED_S)
    await eventually(lambda: not other.marked())
    assert other.taken_up == [PROCESS_ID]
    assert sequences(sink) == [1, 2, 3]
    await asyncio.to_thread(other.courier.close, Deadline.after(0))


async def test_a_worker_without_the_sink_leaves_the_mark_to_one_that_has_it(
    tmp_path: Path, sink: MemorySink
) -> None:
    sink.failure = "away"
    dead = CourierBench(tmp_path / "workspace", sink)
    dead.start()
    dead.begin()
    dead.tell(STARTED, COMPLETED)
    await eventually(lambda: sink.tries > 0)
    await asyncio.to_thread(dead.courier.close, Deadline.after(0))
    poor = CourierBench(tmp_path / "workspace", MemorySink("log", durable=False))
    poor.courier._sweep(poor.take_up)
    poor.clock.advance(work_marker.ABANDONED_S)
    poor.courier._sweep(poor.take_up)
    assert poor.marked()
    assert poor.taken_up == []


async def test_a_worker_that_wakes_late_stops_to_deliver_what_another_one_delivers(tmp_path: Path) -> None:
    frozen = CourierBench(tmp_path / "workspace", MemorySink())
    frozen.start()
    frozen.begin()
    await eventually(lambda: PROCESS_ID in frozen.courier._active)
    other = CourierBench(tmp_path / "workspace", MemorySink())
    # It delivers the same run: the outbox has nothing newer.
    other.courier._marker.set(PROCESS_ID)
    await eventually(lambda: not frozen.courier._active)
    assert other.marked()
    await asyncio.to_thread(frozen.courier.close, Deadline.after(0))


async def test_a_process_that_another_worker_has_taken_up_is_left_to_it(tmp_path: Path) -> None:
    mine, others = MemorySink(), MemorySink()
    first = CourierBench(tmp_path / "workspace", mine)
    first.start()
    first.begin(1)
    first.tell(STARTED)
    await eventually(lambda: sequences(mine) == [1])
    second = CourierBench(tmp_path / "workspace", others)
    second.start()
    second.begin(2)
    second.tell(STARTED, COMPLETED)
    await eventually(lambda: not first.courier._active and not second.marked())
    # What the first sent does not come again, and it sends nothing of the second's.
    assert sequences(mine) == [1]
    assert [event.event_type for event in others.events] == [STARTED, COMPLETED]
    for office in (first, second):
        await asyncio.to_thread(office.courier.close, Deadline.after(0))


async def test_what_is_left_at_the_end_is_delivered_within_the_grace(
    tmp_path: Path, sink: MemorySink
) -> None:
    office = CourierBench(tmp_path / "workspace", sink)
    office.start()
    office.begin()
    office.tell(STARTED, *[CHECKPOINT] * 1000, COMPLETED)
    await asyncio.to_thread(office.courier.close, Deadline.after(10))
    assert sequences(sink) == list(range(1, 1003))


async def test_a_sink_that_is_away_does_not_hold_up_the_end(tmp_path: Path, sink: MemorySink) -> None:
    sink.failure = "away"
    office = CourierBench(tmp_path / "workspace", sink)
    office.start()
    office.begin()
    office.tell(STARTED)
    await eventually(lambda: sink.tries > 0)
    began = time.monotonic()
    await asyncio.to_thread(office.courier.close, Deadline.after(10))
    assert time.monotonic() - began < 2
    assert office.marked()


async def test_an_event_is_given_up_when_the_patience_of_its_sink_is_over(tmp_path: Path) -> None:
    sink = MemorySink(patience_s=60)
    sink.failure = "gone"
    office = CourierBench(tmp_path / "workspace", sink)
    office.start()
    office.begin()
    office.tell(STARTED, CHECKPOINT)
    await eventually(lambda: sink.tries > 1)
    assert office.outbox().delivered("memory") == Position()
    office.clock.advance(61)
    office.tell(COMPLETED)
    await eventually(lambda: office.courier.states()[0].undelivered == 1)
    sink.failure = None
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [3]
    await asyncio.to_thread(office.courier.close, Deadline.after(0))


async def test_a_callback_is_opened_for_the_sinks_by_whoever_has_the_key(
    office: CourierBench, sink: MemorySink, tmp_path: Path
) -> None:
    token = SecretStr("token-of-a-caller")
    office.callback = office.courier.seal("https://example.com/hook", token)
    office.begin()
    office.tell(STARTED)
    await eventually(lambda: sequences(sink) == [1])
    assert sink.callbacks == [Callback(url="https://example.com/hook", token=token)]
    office.callback = SealedCallback(url="https://example.com/hook", token=Vault().seal(token))
    office.begin(2)
    office.tell(STARTED)
    await eventually(lambda: sequences(sink) == [1, 2])
    assert sink.callbacks[-1] == Callback(url="https://example.com/hook", locked=True)


def newer_lines(count: int) -> bytes:
    """Events as a newer worker may write them."""
    event = json.loads(sample_event(1).body())
    return b"".join(
        json.dumps(event | change).encode() + b"\n"
        for change in [{"event_type": "training.archived"}, {"sequel": {"of": 1}}] * (count // 2)
    )


async def test_events_of_a_newer_worker_do_not_hold_up_those_behind_them(
    office: CourierBench, sink: MemorySink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lane, "PARCEL_EVENTS", 3)
    office.begin(1)
    office.tell(STARTED)
    await eventually(lambda: sequences(sink) == [1])
    with (office.outbox().folder / office.outbox().newest()).open("ab") as file:
        file.write(newer_lines(8))
    office.begin(2)
    office.tell(CHECKPOINT, COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [1, 2, 3]
    warned = [record for record in caplog.records if record.getMessage() == "event cannot be read"]
    assert len(warned) >= 8


@pytest.mark.expects_errors("sink failed")
async def test_a_sink_that_does_not_know_what_it_wants_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = MemorySink("bad"), MemorySink("good")
    vars(bad)["wants"] = broken
    office = CourierBench(tmp_path / "workspace", bad, good)
    office.start()
    office.begin()
    office.tell(STARTED, COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(good) == [1, 2]
    assert "sink failed" in caplog.messages
    await asyncio.to_thread(office.courier.close, Deadline.after(0))


def broken(*_: object) -> None:
    raise LookupError("a defect")


@pytest.mark.parametrize("answer", [None, -1, 99, "two", asyncio.CancelledError()])
async def test_a_sink_that_answers_nonsense_is_asked_again(
    office: CourierBench, sink: MemorySink, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, answers = sink.deliver, [answer]

    async def deliver(parcel: Parcel) -> object:
        if answers:
            nonsense = answers.pop()
            if isinstance(nonsense, BaseException):
                raise nonsense
            return nonsense
        return await whole(parcel)

    monkeypatch.setattr(sink, "deliver", deliver)
    office.begin()
    office.tell(STARTED, COMPLETED)
    await eventually(lambda: not office.marked())
    assert sequences(sink) == [1, 2]


@pytest.mark.expects_errors("sink failed")
async def test_a_sink_that_cannot_close_does_not_keep_the_others_open(tmp_path: Path) -> None:
    bad, good = MemorySink("bad"), MemorySink("good")
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    vars(bad)["close"] = broken
    vars(good)["close"] = close
    office = CourierBench(tmp_path / "workspace", bad, good)
    office.start()
    await asyncio.to_thread(office.courier.close, Deadline.after(1))
    assert closed == [True]


async def test_sinks_close_their_connections_also_if_no_time_is_left(tmp_path: Path) -> None:
    sink, closed = MemorySink(), threading.Event()

    async def close() -> None:
        await asyncio.sleep(0.01)
        closed.set()

    vars(sink)["close"] = close
    office = CourierBench(tmp_path / "workspace", sink)
    office.start()
    await asyncio.to_thread(office.courier.close, Deadline.after(0))
    assert await asyncio.to_thread(closed.wait, 5)


@pytest.mark.expects_errors("events cannot be taken over")
async def test_one_process_that_cannot_be_taken_up_does_not_hold_up_the_others(
    tmp_path: Path, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = CourierBench(tmp_path / "workspace", sink)
    for process_id in (PROCESS_ID, OTHER_ID):
        dead.begin(process_id=process_id)
    other = CourierBench(tmp_path / "workspace", sink)
    taken: list[str] = []

    def take_up(process_id: str) -> None:
        taken.append(process_id)
        broken()

    other.courier._sweep(take_up)
    other.clock.advance(work_marker.ABANDONED_S)
    other.courier._sweep(take_up)
    assert sorted(taken) == sorted([PROCESS_ID, OTHER_ID])


async def test_a_sweep_marks_nothing_that_was_delivered_meanwhile(
    office: CourierBench, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "RENEW_S", 60)
    office.begin()
    office.tell(STARTED)
    await eventually(lambda: sequences(sink) == [1])
    newest, sweeping = Outbox.newest, threading.get_ident()

    def slow(outbox: Outbox) -> str:
        found = newest(outbox)
        if threading.get_ident() == sweeping:
            office.tell(COMPLETED)
            while office.marked():
                time.sleep(0.01)
        return found

    monkeypatch.setattr(Outbox, "newest", slow)
    office.courier._sweep(office.take_up)
    assert not office.marked()
