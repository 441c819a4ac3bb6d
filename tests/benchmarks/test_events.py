"""What events cost: their way to a broker, and the training that they tell of while the broker is away."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import pika
import pytest
from tests.benchmarks.report import Report
from tests.integration.events.event_room import EventRoom
from tests.servers.consumer import Consumer
from tests.servers.rabbitmq import RunningRabbitMQ, running_rabbitmq
from tests.unit.events.courier_bench import CourierBench

from lorapod.deadline import Deadline
from lorapod.events.event_types import EventType
from lorapod.events.rabbitmq import RabbitMQSink
from lorapod.records.record import ProcessRecord
from lorapod.testing.events import sample_event

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

EVENTS = 2000
PROCESSES = [f"train_{number:012x}" for number in range(8)]
ROUNDS = 5
PAIRS = 7


def a_connection_for_each_per_s(server: RunningRabbitMQ, exchange: str, count: int) -> float:
    """Messages a second of whoever opens a connection for each message, as a handler of few lines does."""
    parameters = pika.URLParameters(server.url.get_secret_value())
    event = sample_event(1, EventType.CHECKPOINT)
    began = time.perf_counter()
    for _ in range(count):
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        channel.exchange_declare(exchange, "topic", durable=True)
        channel.basic_publish(
            exchange, event.event_type.value, event.body(), pika.BasicProperties(delivery_mode=2)
        )
        connection.close()
    return count / (time.perf_counter() - began)


async def through_the_outbox_per_s(server: RunningRabbitMQ, exchange: str, root: Path) -> float:
    """Events a second from their writing to the outbox to the last one's confirmation."""
    sink = RabbitMQSink(server.url, exchange)
    office = CourierBench(root, sink)
    office.start()
    for process_id in PROCESSES:
        office.begin(process_id=process_id)
    began = time.perf_counter()
    for number in range(EVENTS):
        last = number >= EVENTS - len(PROCESSES)
        kind = EventType.COMPLETED if last else EventType.CHECKPOINT
        office.tell(kind, process_id=PROCESSES[number % len(PROCESSES)])
    while any(office.marked(process_id) for process_id in PROCESSES):  # noqa: ASYNC110 - on the disk
        await asyncio.sleep(0.005)
    took_s = time.perf_counter() - began
    await asyncio.to_thread(office.courier.close, Deadline.after(0))
    return EVENTS / took_s


async def test_events_are_published_ten_times_as_fast_as_with_a_connection_for_each(
    tmp_path: Path, report: Report
) -> None:
    """Persistent and confirmed, through the outbox, against persistent and unconfirmed."""
    exchange = "hartsy.training"
    with running_rabbitmq() as server:
        consumer = Consumer(server, exchange)
        both = []
        for turn in range(ROUNDS):
            bare = a_connection_for_each_per_s(server, exchange, 200)
            ours = await through_the_outbox_per_s(server, exchange, tmp_path / f"workspace-{turn}")
            both.append((ours / bare, ours, bare))
        assert len(await asyncio.to_thread(consumer.drain)) >= ROUNDS * (EVENTS + 200)
    _, ours, bare = sorted(both)[len(both) // 2]
    report(
        "Events through the outbox",
        ours,
        "a second",
        against="a connection for each event",
        reference=bare,
        ratio_at_least=10,
    )


async def training_s(root: Path, config: dict[str, Any], *sinks: RabbitMQSink, told: bool) -> float:
    """From the first to the last seen step."""
    room = EventRoom(root, *sinks, interval_s=2.0, silent=not told)
    record = room.train(**config)
    seen: list[float] = []

    def look(now: ProcessRecord) -> None:
        if now.progress.step:
            seen.append(time.monotonic())

    room.manager.listeners.add(record.process_id, look)
    end = await room.ended(record)
    assert end.status == "completed"
    await asyncio.to_thread(room.close, 0)
    return seen[-2] - seen[0]


async def test_a_training_whose_broker_is_away_is_as_fast_as_one_without_events(
    tmp_path: Path, report: Report
) -> None:
    """At least 0.99 of the steps a second, and everything arrives later."""
    config = {"steps": 120, "step_s": 0.04, "save_every": 30}
    with running_rabbitmq() as server:
        server.kill()
        ratios = []
        for turn in range(PAIRS):
            taken: dict[bool, float] = {}
            # Either goes first in turn, so that what the machine does otherwise falls on both.
            for told in (False, True)[:: 1 if turn % 2 else -1]:
                sinks = [RabbitMQSink(server.url, "hartsy.training")] if told else []
                taken[told] = await training_s(tmp_path / f"{told}-{turn}", config, *sinks, told=told)
            ratios.append(taken[False] / taken[True])
        await asyncio.to_thread(server.start)
        # A queue that was bound before may get nothing after a kill: the broker does not always restore its routing.
        consumer = Consumer(server, "hartsy.training")
        for turn in range(PAIRS):
            room = EventRoom(tmp_path / f"True-{turn}", RabbitMQSink(server.url, "hartsy.training"))
            record = room.manager.page(status=None, limit=1, before=None)[0][0]
            room.emitter.take_up(record.process_id)
            await asyncio.to_thread(room.close, 20)
        kinds = [body["event_type"] for body in await asyncio.to_thread(consumer.drain)]
        assert kinds.count("training.started") == kinds.count("training.completed") == PAIRS
        assert kinds.count("training.checkpoint") == 5 * PAIRS
    report(
        f"Speed of a training whose broker is away, median of {PAIRS} pairs",
        statistics.median(ratios),
        against="one without events",
        reference=1,
        ratio_at_least=0.99,
    )
