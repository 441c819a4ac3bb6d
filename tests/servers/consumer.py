"""A consumer that receives every event of an exchange."""

from __future__ import annotations

import json
import secrets
from types import TracebackType
from typing import Any

import pika
from pika.exceptions import UnroutableError
from tests.servers.rabbitmq import RunningRabbitMQ


class Consumer:
    """A durable queue that is bound to an exchange, read with pika, which the worker does not use."""

    def __init__(self, server: RunningRabbitMQ, exchange: str, *, bindings: str = "training.*") -> None:
        self._exchange = exchange
        self._parameters = pika.URLParameters(server.url.get_secret_value())
        self.queue = f"test-{secrets.token_hex(4)}"
        with self.channel() as channel:
            channel.exchange_declare(exchange, "topic", durable=True)
            channel.queue_declare(self.queue, durable=True)
            channel.queue_bind(self.queue, exchange, bindings)
        #: Bodies, and their properties.
        self.bodies: list[dict[str, Any]] = []
        self.properties: list[Any] = []
        self.routing_keys: list[str] = []

    def drain(self) -> list[dict[str, Any]]:
        """Return every body that has arrived since the queue was declared."""
        with self.channel() as channel:
            while True:
                method, properties, body = channel.basic_get(self.queue, auto_ack=True)
                if method is None:
                    return self.bodies
                self.bodies.append(json.loads(body))
                self.properties.append(properties)
                self.routing_keys.append(method.routing_key)

    def is_routed_to(self) -> bool:
        """Return whether an event reaches the queue now, if it is the only one that is bound to the exchange.

        A broker that was killed may show the binding after its restart, and yet route nothing to the queue.
        """
        with self.channel() as channel:
            channel.confirm_delivery()
            try:
                channel.basic_publish(self._exchange, "training.probe", b"{}", mandatory=True)
            except UnroutableError:
                return False
            channel.basic_get(self.queue, auto_ack=True)
            return True

    def channel(self) -> _Channel:
        """Open a channel on a new connection for one block."""
        return _Channel(self._parameters)


class _Channel:
    def __init__(self, parameters: Any) -> None:
        self._connection = pika.BlockingConnection(parameters)

    def __enter__(self) -> Any:
        return self._connection.channel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
