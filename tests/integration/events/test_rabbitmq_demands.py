"""Brokers that are set up otherwise than by default: virtual hosts, quoted passwords, quorum queues, limits."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import SecretStr
from tests.servers.rabbitmq import RunningRabbitMQ

from lorapod.events.port import Parcel, SinkUnavailable
from lorapod.events.rabbitmq import LoginRefused, RabbitMQSink
from lorapod.testing.events import sample_event

#: Every character that a URL has a meaning for.
PASSWORD = "p@ss/w:rd#?%25 & \u00fc"


@dataclass(frozen=True, kw_only=True)
class VirtualHost:
    """A virtual host with a user of its own."""

    server: RunningRabbitMQ
    name: str
    user: str

    def url(self, password: str = PASSWORD) -> SecretStr:
        login = f"{quote(self.user, safe='')}:{quote(password, safe='')}"
        return SecretStr(f"amqp://{login}@127.0.0.1:{self.server.port}/{quote(self.name, safe='')}")

    def connect(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                "127.0.0.1",
                self.server.port,
                self.name,
                pika.PlainCredentials(self.user, PASSWORD),
            )
        )


@pytest.fixture
def host(rabbitmq_server: RunningRabbitMQ) -> Iterator[VirtualHost]:
    name, user = f"team/{secrets.token_hex(4)}", f"wörker@{secrets.token_hex(4)}"
    rabbitmq_server.control("add_vhost", name)
    rabbitmq_server.control("add_user", user, PASSWORD)
    rabbitmq_server.control("set_permissions", "-p", name, user, ".*", ".*", ".*")
    yield VirtualHost(server=rabbitmq_server, name=name, user=user)
    rabbitmq_server.control("delete_vhost", name)
    rabbitmq_server.control("delete_user", user)


def bound(channel: BlockingChannel, **arguments: Any) -> str:
    """Declare a queue with these arguments, bound to the exchange."""
    channel.exchange_declare("events", "topic", durable=True)
    names = {key.replace("_", "-"): value for key, value in arguments.items()}
    channel.queue_declare("all", durable=True, arguments=names)
    channel.queue_bind("all", "events", "#")
    return "all"


async def deliver(url: SecretStr) -> str:
    event = sample_event()
    sink = RabbitMQSink(url, "events")
    try:
        assert await sink.deliver(Parcel(process_id=event.process_id, events=[event])) == 1
    finally:
        await sink.close()
    return event.event_id


async def test_a_virtual_host_and_a_password_with_every_character(host: VirtualHost) -> None:
    with closing(host.connect()) as connection:
        queue = bound(connection.channel())
        event_id = await deliver(host.url())
        _, _, body = connection.channel().basic_get(queue, auto_ack=True)
        assert json.loads(body)["event_id"] == event_id
    with pytest.raises(LoginRefused):
        await deliver(host.url("another"))


async def test_a_quorum_queue_with_a_delivery_limit_takes_events(host: VirtualHost) -> None:
    with closing(host.connect()) as connection:
        channel = connection.channel()
        queue = bound(channel, x_queue_type="quorum", x_delivery_limit=2)
        event_id = await deliver(host.url())
        seen = []
        for _ in range(3):
            method, properties, _ = channel.basic_get(queue)
            seen.append(properties.message_id)
            channel.basic_nack(method.delivery_tag, requeue=True)
        # The broker drops what a consumer gave back too often; that is no matter of the worker's.
        assert seen == [event_id] * 3
        assert channel.basic_get(queue)[0] is None
        assert await deliver(host.url())


async def test_a_full_queue_that_refuses_is_no_delivery(host: VirtualHost) -> None:
    with closing(host.connect()) as connection:
        channel = connection.channel()
        queue = bound(channel, x_max_length=1, x_overflow="reject-publish")
        await deliver(host.url())
        with pytest.raises(SinkUnavailable, match="refused an event"):
            await deliver(host.url())
        channel.basic_get(queue, auto_ack=True)
        assert await deliver(host.url())
