"""Publish events to a RabbitMQ topic exchange: persistent, confirmed, with the event type as routing key."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    DeliveryError,
    ProbableAuthenticationError,
)
from pydantic import SecretStr
from yarl import URL

from lorapod.events.models import Event
from lorapod.events.port import Callback, Parcel, SinkUnavailable

#: For every answer of the broker.
TIMEOUT_S = 3.0
#: Most events that are sent and not confirmed yet.
IN_FLIGHT = 64
#: Events that are handed to the client at once; with more, each waits for the others.
BURST = 8
#: How long a dropped connection may take to close.
CLOSE_S = 1.0

for _name in ("aio_pika", "aiormq"):
    # Without a handler, they would print a traceback for every broken connection.
    logging.getLogger(_name).addHandler(logging.NullHandler())

#: The errors of a broker that does not answer, refuses or breaks off.
_FAILURES = (AMQPError, ChannelInvalidStateError, OSError, ValueError)


#: The text for each kind of failure; the first that fits counts.
_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((TimeoutError,), "the broker does not answer within {timeout_s:g} s"),
    (
        (ChannelPreconditionFailed,),
        "the exchange {exchange!r} is there, but not as a durable topic exchange",
    ),
    (
        (ChannelAccessRefused, ConnectionNotAllowed),
        "this worker has no right to use the exchange {exchange!r}",
    ),
    ((ChannelNotFoundEntity,), "there is no exchange {exchange!r}"),
    ((DeliveryError,), "the broker refused an event"),
    ((ssl.SSLError,), "the broker's certificate cannot be trusted, or TLS failed"),
    ((OSError,), "the broker cannot be reached"),
    ((ValueError,), "RABBITMQ_URL is not a URL such as amqp://user:password@host:5672/"),
    ((BaseException,), "the broker broke off the connection"),
)


class LoginRefused(SinkUnavailable):
    """The broker refuses this worker's name or password."""


@dataclass(frozen=True, kw_only=True)
class _BrokerConnection:
    """An open connection with its channel."""

    connection: AbstractConnection
    #: The channel of `aiormq`, below `aio_pika`: its publish does not wait until the one before is sent.
    channel: aiormq.Channel
    #: Held while a parcel is written.
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class RabbitMQSink:
    """An `EventSink` with one connection for all processes, opened on first use and again after it broke."""

    name = "rabbitmq"
    durable = True
    patience_s: float | None = None

    def __init__(self, url: SecretStr, exchange: str) -> None:
        """Open no connection yet.

        Args:
            url: `amqp://` or `amqps://`.
            exchange: name of a durable topic exchange; it is declared if it does not exist and the rights allow it.
        """
        self._url = url
        self._exchange = exchange
        self._link: _BrokerConnection | None = None
        self._opening: asyncio.Task[_BrokerConnection] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def wants(self, callback: Callback | None) -> bool:
        """Return True: it publishes the events of every process."""
        del callback
        return True

    async def check(self) -> None:
        """Connect, to find out whether events can be delivered.

        Raises:
            LoginRefused: the settings are wrong.
            SinkUnavailable: not now; it may work later.
        """
        await self._connected()

    async def deliver(self, parcel: Parcel) -> int:
        """Publish events in order on one channel, and return how many were confirmed before the first that was not.

        Raises:
            SinkUnavailable: the broker does not answer, or refuses.
        """
        link = await self._connected()
        delivered = 0
        for begin in range(0, len(parcel.events), IN_FLIGHT):
            some = parcel.events[begin : begin + IN_FLIGHT]
            confirmed, error = await self._publish(link, some)
            delivered += confirmed
            if error is not None:
                self._drop(link.connection)
                if not delivered:
                    raise SinkUnavailable(self._reason(error)) from error
                break
        return delivered

    async def close(self) -> None:
        """Close the connection, also one that is being opened."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        link, self._link = self._link, None
        if link is not None:
            self._drop(link.connection)
        await asyncio.gather(*self._closing)

    async def _publish(
        self, link: _BrokerConnection, events: Sequence[Event]
    ) -> tuple[int, BaseException | None]:
        """Return how many were confirmed before the first that was not, and its error."""
        sent: list[asyncio.Task[object]] = []
        try:
            async with link.writing:
                for begin in range(0, len(events), BURST):
                    for event in events[begin : begin + BURST]:
                        publishing = link.channel.basic_publish(
                            event.body(),
                            exchange=self._exchange,
                            routing_key=event.event_type.value,
                            properties=_properties(event),
                            wait=False,
                        )
                        sent.append(asyncio.create_task(publishing))
                    # Each runs until it waits for its confirmation.
                    await asyncio.sleep(0)
            _, late = await asyncio.wait(sent, timeout=TIMEOUT_S)
        finally:
            for task in sent:
                task.cancel()
            results = await asyncio.gather(*sent, return_exceptions=True)
        for count, result in enumerate(results):
            if isinstance(result, BaseException):
                return count, TimeoutError() if sent[count] in late else result
        return len(events), None

    async def _connected(self) -> _BrokerConnection:
        """Return the open connection; several callers wait for one attempt to open it."""
        if self._link is not None and not self._link.connection.is_closed:
            return self._link
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, task: asyncio.Task[_BrokerConnection]) -> None:
        self._opening = None
        if not task.cancelled() and task.exception() is None:
            self._link = task.result()

    async def _open(self) -> _BrokerConnection:
        try:
            connection = aio_pika.Connection(_checked_url(self._url))
        except ValueError as error:
            raise SinkUnavailable(self._reason(error)) from error
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await connection.connect()
                channel = await self._declare(connection)
                underlay = cast("aiormq.Channel", await channel.get_underlay_channel())
        except BaseException as error:
            # Also one that never opened: the garbage collector would close it on a thread without an event loop.
            self._drop(connection)
            if isinstance(error, ProbableAuthenticationError | AuthenticationError):
                raise LoginRefused("the broker refuses the name or password") from error
            if isinstance(error, _FAILURES):
                raise SinkUnavailable(self._reason(error)) from error
            raise
        return _BrokerConnection(connection=connection, channel=underlay)

    async def _declare(self, connection: AbstractConnection) -> AbstractChannel:
        """Return a channel once the exchange exists."""
        channel = await self._channel(connection)
        try:
            await channel.declare_exchange(self._exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        except ChannelAccessRefused:
            # These rights do not allow to declare it; it may exist.
            channel = await self._channel(connection)
            await channel.get_exchange(self._exchange, ensure=True)
        return channel

    @staticmethod
    async def _channel(connection: AbstractConnection) -> AbstractChannel:
        return await connection.channel(publisher_confirms=True, on_return_raises=False)

    def _drop(self, connection: AbstractConnection) -> None:
        """Drop a connection: the next delivery opens a new one, and late confirmations are ignored."""
        if self._link is not None and self._link.connection is connection:
            self._link = None
        task = asyncio.create_task(_close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _reason(self, error: BaseException) -> str:
        """Return half a sentence about an error, without the URL, which holds the password."""
        # The client wraps the error of TLS into one of its own.
        causes = (error, error.__cause__, error.__context__)
        error = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), error)
        text = next(text for kinds, text in _REASONS if isinstance(error, kinds))
        return text.format(exchange=self._exchange, timeout_s=TIMEOUT_S)


def _checked_url(url: SecretStr) -> URL:
    """Return the broker's URL, checked: the client itself leaks a connection on a wrong one.

    Raises:
        ValueError: it is not a URL of a broker.
    """
    broker = URL(url.get_secret_value())
    if broker.scheme not in {"amqp", "amqps"} or not broker.host:
        raise ValueError("not the URL of a broker")
    return broker


def _properties(event: Event) -> aiormq.spec.Basic.Properties:
    return aiormq.spec.Basic.Properties(
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=event.event_id,
        timestamp=event.timestamp,
        message_type=event.event_type.value,
        app_id="lorapod",
    )


async def _close(connection: AbstractConnection) -> None:
    with suppress(*_FAILURES):
        async with asyncio.timeout(CLOSE_S):
            await connection.close()
