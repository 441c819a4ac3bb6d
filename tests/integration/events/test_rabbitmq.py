"""What reaches a real broker, whatever becomes of it meanwhile."""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aio_pika import Connection
from pydantic import SecretStr
from tests.integration.events.event_room import EventRoom
from tests.servers.consumer import Consumer
from tests.servers.rabbitmq import RunningRabbitMQ, running_rabbitmq
from tests.unit.events.courier_bench import CourierBench, eventually

from lorapod.deadline import Deadline
from lorapod.events import lane
from lorapod.events.event_types import EventType
from lorapod.events.port import Parcel, SinkUnavailable
from lorapod.events.rabbitmq import TIMEOUT_S, LoginRefused, RabbitMQSink
from lorapod.records.status import ProcessStatus
from lorapod.testing.events import sample_event

EXCHANGE = "hartsy.training"
PROCESSES = [f"train_{number:012x}" for number in range(8)]
EVENTS_EACH = 250


@pytest.fixture
def broker() -> Iterator[RunningRabbitMQ]:
    """One that a test may harm."""
    with running_rabbitmq() as server:
        yield server


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(lane, "LONGEST_WAIT_S", 1.0)


def parcel() -> Parcel:
    event = sample_event()
    return Parcel(process_id=event.process_id, events=[event])


async def took(sink: RabbitMQSink) -> tuple[str, float]:
    began = time.monotonic()
    with pytest.raises(SinkUnavailable) as raised:
        await sink.deliver(parcel())
    return str(raised.value), time.monotonic() - began


@pytest.mark.timeout(180)
async def test_a_broker_that_is_killed_in_the_middle_gets_every_event_in_order(
    broker: RunningRabbitMQ, tmp_path: Path
) -> None:
    consumer = Consumer(broker, EXCHANGE)
    bodies = await told_to_a_broker_that_is_killed(broker, consumer, tmp_path / "workspace")
    if len({body["event_id"] for body in bodies}) < 2000 and not consumer.is_routed_to():
        # The killed broker has forgotten to route to the queue: that is the broker's fault, and not what is tested.
        consumer = Consumer(broker, EXCHANGE)
        bodies = await told_to_a_broker_that_is_killed(broker, consumer, tmp_path / "again")
    assert len({body["event_id"] for body in bodies}) == 2000, broker.control("list_queues")
    for process_id in PROCESSES:
        first_seen = dict.fromkeys(body["sequence"] for body in bodies if body["process_id"] == process_id)
        assert list(first_seen) == sorted(first_seen)
        assert len(first_seen) == EVENTS_EACH


async def told_to_a_broker_that_is_killed(
    broker: RunningRabbitMQ, consumer: Consumer, workspace: Path
) -> list[dict[str, Any]]:
    """What a consumer has of 2,000 events, when the broker was killed and started again in the middle."""
    office = CourierBench(workspace, RabbitMQSink(broker.url, EXCHANGE))
    office.start()
    for process_id in PROCESSES:
        office.begin(process_id=process_id)
    for turn in range(EVENTS_EACH):
        for process_id in PROCESSES:
            last = turn == EVENTS_EACH - 1
            office.tell(EventType.COMPLETED if last else EventType.CHECKPOINT, process_id=process_id)
        if turn == EVENTS_EACH // 2:
            # Some are delivered, some on their way, most not told yet.
            await eventually(
                lambda: office.courier.states()[0].undelivered < len(PROCESSES) * EVENTS_EACH // 4
            )
            await asyncio.to_thread(broker.kill)
    await eventually(lambda: office.courier.states()[0].error is not None)
    await asyncio.to_thread(broker.start)
    async with asyncio.timeout(60):
        while any(office.marked(process_id) for process_id in PROCESSES):  # noqa: ASYNC110 - on the disk
            await asyncio.sleep(0.05)
    bodies = await asyncio.to_thread(consumer.drain)
    await asyncio.to_thread(office.courier.close, Deadline.after(5))
    return bodies


async def test_messages_are_as_the_contract_says(rabbitmq_server: RunningRabbitMQ) -> None:
    exchange = f"events-{secrets.token_hex(4)}"
    consumer = Consumer(rabbitmq_server, exchange, bindings="training.*")
    sink = RabbitMQSink(rabbitmq_server.url, exchange)
    event = sample_event(1, EventType.STARTED)
    assert await sink.deliver(Parcel(process_id=event.process_id, events=[event])) == 1
    await asyncio.to_thread(consumer.drain)
    properties = consumer.properties[0]
    assert consumer.routing_keys == ["training.started"]
    assert (properties.message_id, properties.delivery_mode) == (event.event_id, 2)
    assert (properties.content_type, properties.type) == ("application/json", "training.started")
    await sink.close()


async def test_a_frozen_broker_costs_three_seconds_a_try(broker: RunningRabbitMQ) -> None:
    sink = RabbitMQSink(broker.url, EXCHANGE)
    assert await sink.deliver(parcel()) == 1
    with broker.frozen():
        for _ in range(2):
            # The first on the connection that stands, the second on none.
            why, took_s = await took(sink)
            assert why == "the broker does not answer within 3 s"
            assert took_s < TIMEOUT_S + 0.5
        many = [took(sink) for _ in range(20)]
        began = time.monotonic()
        await asyncio.gather(*many)
        assert time.monotonic() - began < TIMEOUT_S + 1
    assert await sink.deliver(parcel()) == 1
    await sink.close()


async def test_a_broker_that_is_away_is_told_at_once(tmp_path: Path, broker: RunningRabbitMQ) -> None:
    sink = RabbitMQSink(broker.url, EXCHANGE)
    assert await sink.deliver(parcel()) == 1
    broker.kill()
    for _ in range(2):
        why, took_s = await took(sink)
        assert why in {"the broker cannot be reached", "the broker broke off the connection"}
        assert took_s < 1
    await sink.close()


async def test_a_wrong_password_is_told_apart(rabbitmq_server: RunningRabbitMQ) -> None:
    sink = RabbitMQSink(rabbitmq_server.url_with("wrong-password"), EXCHANGE)
    with pytest.raises(LoginRefused) as refused:
        await sink.check()
    assert "wrong-password" not in str(refused.value)
    await sink.close()


@pytest.mark.parametrize(
    "text", ["no address with secret-password", "secret-password", "http://host/", "amqp://"]
)
async def test_what_is_no_address_is_told_without_its_password(text: str) -> None:
    sink = RabbitMQSink(SecretStr(text), EXCHANGE)
    why, _ = await took(sink)
    assert why == "RABBITMQ_URL is not a URL such as amqp://user:password@host:5672/"
    await sink.close()
    gc.collect()  # what the client leaves behind is told here, not in a later test


class TestAConnectionThatNeverOpened:
    """Whatever thread lets go of one that is not closed begins to close it, without a loop to do so."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
        """Every connection, open or not."""
        known: list[Connection] = []
        begin = Connection.__init__

        def noted(connection: Connection, *arguments: Any, **more: Any) -> None:
            known.append(connection)
            begin(connection, *arguments, **more)

        monkeypatch.setattr(Connection, "__init__", noted)
        return known

    async def test_is_closed_where_nobody_listens(self, made: list[Connection]) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            sink = RabbitMQSink(SecretStr(address(listener)), EXCHANGE)

            why, _ = await took(sink)
            await sink.close()

        assert why == "the broker cannot be reached"
        assert [connection.is_closed for connection in made] == [True]

    async def test_is_closed_with_the_sink_while_it_waits(self, made: list[Connection]) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            sink = RabbitMQSink(SecretStr(address(silent)), EXCHANGE)
            check = asyncio.create_task(sink.check())
            await eventually(lambda: bool(made))
            began = time.monotonic()

            await sink.close()

            assert time.monotonic() - began < TIMEOUT_S / 2
            assert [connection.is_closed for connection in made] == [True]
            with pytest.raises(asyncio.CancelledError):
                await check


def address(listener: socket.socket) -> str:
    return f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}/"


async def test_a_missing_exchange_is_made_durable(rabbitmq_server: RunningRabbitMQ) -> None:
    exchange = f"events-{secrets.token_hex(4)}"
    sink = RabbitMQSink(rabbitmq_server.url, exchange)
    assert await sink.deliver(parcel()) == 1
    listed = await asyncio.to_thread(rabbitmq_server.control, "list_exchanges", "name", "type", "durable")
    assert f"{exchange}\ttopic\ttrue" in listed.splitlines()
    await sink.close()


async def test_an_exchange_that_goes_away_is_made_again(rabbitmq_server: RunningRabbitMQ) -> None:
    exchange = f"events-{secrets.token_hex(4)}"
    sink = RabbitMQSink(rabbitmq_server.url, exchange)
    assert await sink.deliver(parcel()) == 1
    with Consumer(rabbitmq_server, exchange).channel() as channel:
        channel.exchange_delete(exchange)
    why, _ = await took(sink)
    assert why == f"there is no exchange '{exchange}'"
    assert await sink.deliver(parcel()) == 1
    await sink.close()


async def test_an_exchange_of_another_type_is_told(rabbitmq_server: RunningRabbitMQ) -> None:
    exchange = f"events-{secrets.token_hex(4)}"
    with Consumer(rabbitmq_server, EXCHANGE).channel() as channel:
        channel.exchange_declare(exchange, "fanout", durable=True)
    sink = RabbitMQSink(rabbitmq_server.url, exchange)
    why, _ = await took(sink)
    assert why == f"the exchange '{exchange}' is there, but not as a durable topic exchange"
    with Consumer(rabbitmq_server, EXCHANGE).channel() as channel:
        channel.exchange_delete(exchange)
    assert await sink.deliver(parcel()) == 1
    await sink.close()


@pytest.mark.timeout(180)
async def test_who_may_only_write_needs_an_exchange_that_is_there(broker: RunningRabbitMQ) -> None:
    broker.control("add_user", "writer", "writers-password")
    broker.control("set_permissions", "writer", "^$", ".*", "^$")
    sink = RabbitMQSink(broker.url_with("writers-password", user="writer"), EXCHANGE)
    why, _ = await took(sink)
    assert why == f"there is no exchange '{EXCHANGE}'"
    Consumer(broker, EXCHANGE)
    assert await sink.deliver(parcel()) == 1
    await sink.close()


@pytest.mark.timeout(180)
async def test_a_broker_that_is_away_for_a_whole_training_gets_it_all_later(
    broker: RunningRabbitMQ, tmp_path: Path
) -> None:
    consumer = Consumer(broker, EXCHANGE)
    await asyncio.to_thread(broker.store_declared)
    broker.kill()
    room = EventRoom(tmp_path / "workspace", RabbitMQSink(broker.url, EXCHANGE))
    record = await room.ended(room.train(steps=100, step_s=0.01, save_every=20))
    assert record.status is ProcessStatus.COMPLETED
    assert room.courier.states()[0].error == "the broker cannot be reached"
    await asyncio.to_thread(broker.start)
    await eventually(lambda: room.courier.states()[0].undelivered == 0)
    bodies = await asyncio.to_thread(consumer.drain)
    told = [event for event in room.told(record) if event.event_type is not EventType.PROGRESS]
    arrived = [body["event_id"] for body in bodies if body["event_type"] != "training.progress"]
    assert arrived == [event.event_id for event in told]
    assert [event.event_type.name for event in told] == ["STARTED", *["CHECKPOINT"] * 6, "COMPLETED"]
    await asyncio.to_thread(room.close)


async def test_a_frozen_broker_holds_up_no_training_and_no_end(
    broker: RunningRabbitMQ, tmp_path: Path
) -> None:
    room = EventRoom(tmp_path / "workspace", RabbitMQSink(broker.url, EXCHANGE))
    broker.signal(signal.SIGSTOP)
    record = await room.ended(room.train(steps=20, step_s=0.01))
    assert record.status is ProcessStatus.COMPLETED
    began = time.monotonic()
    await asyncio.to_thread(room.close, 20)
    # One try at most, and the letting go of one connection.
    assert time.monotonic() - began < 2 * TIMEOUT_S + 1
