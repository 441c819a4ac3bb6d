"""Events on a RabbitMQ topic exchange: persistent, confirmed, the type of the event as routing key."""

from __future__ import annotations

import asyncio
import logging
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
#: Events that are on their way at a time.
IN_FLIGHT = 64
#: Events that are written at a time: what the client takes up at once. More of them, and each waits for the others.
BURST = 8
#: How long a connection that is given up may take to end in good order.
CLOSE_S = 1.0

for _name in ("aio_pika", "aiormq"):
    # They tell of every broken connection with a traceback, where nobody says otherwise on stderr.
    logging.getLogger(_name).addHandler(logging.NullHandler())

#: What a broker that is away, refuses or breaks off is told by.
_FAILURES = (AMQPError, ChannelInvalidStateError, OSError, ValueError)


#: What each kind of failure is told as; the first that fits.
_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((TimeoutError,), "the broker does not answer within {timeout_s:g} s"),
    (
        (ChannelPreconditionFailed,),
        "the exchange {exchange!r} is there, but not as a durable topic exchange",
    ),
    (
        (ChannelAccessRefused, ConnectionNotAllowed),
        "the broker does not let this worker use the exchange {exchange!r}",
    ),
    ((ChannelNotFoundEntity,), "there is no exchange {exchange!r}"),
    ((DeliveryError,), "the broker refused an event"),
    ((OSError,), "the broker cannot be reached"),
    ((ValueError,), "RABBITMQ_URL is not an address such as amqp://user:password@host:5672/"),
    ((BaseException,), "the broker broke off the connection"),
)


class LoginRefused(SinkUnavailable):
    """The broker does not take this worker's name and password."""


@dataclass(frozen=True, kw_only=True)
class _Link:
    """An open way to the exchange."""

    connection: AbstractConnection
    #: The client's own, below `aio_pika`: there a publish need not wait until the one before has left the machine.
    channel: aiormq.Channel
    #: Whose turn it is to write.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class RabbitMQSink:
    """An `EventSink` with one connection for all processes, made when it is first needed and again when it broke."""

    name = "rabbitmq"
    durable = True
    patience_s: float | None = None

    def __init__(self, url: SecretStr, exchange: str) -> None:
        """Connect to nothing yet.

        Args:
            url: `amqp://` or `amqps://`.
            exchange: a durable topic exchange, made where it is missing and may be made.
        """
        self._url = url
        self._exchange = exchange
        self._link: _Link | None = None
        self._opening: asyncio.Task[_Link] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def wants(self, callback: Callback | None) -> bool:
        """Every process."""
        del callback
        return True

    async def check(self) -> None:
        """See whether events could be delivered now.

        Raises:
            LoginRefused: never with these settings.
            SinkUnavailable: not now.
        """
        await self._linked()

    async def deliver(self, parcel: Parcel) -> int:
        """Publish in order on one channel; what the broker has confirmed, up to the first that it has not.

        Raises:
            SinkUnavailable: the broker is away, refuses, or does not answer.
        """
        link = await self._linked()
        delivered = 0
        for begin in range(0, len(parcel.events), IN_FLIGHT):
            some = parcel.events[begin : begin + IN_FLIGHT]
            confirmed, error = await self._publish(link, some)
            delivered += confirmed
            if error is not None:
                self._let_go(link.connection)
                if not delivered:
                    raise SinkUnavailable(self._reason(error)) from error
                break
        return delivered

    async def close(self) -> None:
        """Let the connection go, also one that is about to be made."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        link, self._link = self._link, None
        if link is not None:
            self._let_go(link.connection)
        await asyncio.gather(*self._closing)

    async def _publish(self, link: _Link, events: Sequence[Event]) -> tuple[int, BaseException | None]:
        """How many were confirmed before the first that was not, and why that was not."""
        sent: list[asyncio.Task[object]] = []
        try:
            async with link.turn:
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
                    # They run until each waits for its confirmation.
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

    async def _linked(self) -> _Link:
        """The connection; several that need it at once wait for one attempt."""
        if self._link is not None and not self._link.connection.is_closed:
            return self._link
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, task: asyncio.Task[_Link]) -> None:
        self._opening = None
        if not task.cancelled() and task.exception() is None:
            self._link = task.result()

    async def _open(self) -> _Link:
        try:
            connection = aio_pika.Connection(_address(self._url))
        except ValueError as error:
            raise SinkUnavailable(self._reason(error)) from error
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await connection.connect()
                channel = await self._declare(connection)
                underlay = cast("aiormq.Channel", await channel.get_underlay_channel())
        except BaseException as error:
            # Also one that was never open: whatever thread lets it go for good would begin to close it, without a loop.
            self._let_go(connection)
            if isinstance(error, ProbableAuthenticationError | AuthenticationError):
                raise LoginRefused("the broker refuses the name or password") from error
            if isinstance(error, _FAILURES):
                raise SinkUnavailable(self._reason(error)) from error
            raise
        return _Link(connection=connection, channel=underlay)

    async def _declare(self, connection: AbstractConnection) -> AbstractChannel:
        """A channel, when the exchange is there."""
        channel = await self._channel(connection)
        try:
            await channel.declare_exchange(self._exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        except ChannelAccessRefused:
            # It may not be made with these rights; it may be there.
            channel = await self._channel(connection)
            await channel.get_exchange(self._exchange, ensure=True)
        return channel

    @staticmethod
    async def _channel(connection: AbstractConnection) -> AbstractChannel:
        return await connection.channel(publisher_confirms=True, on_return_raises=False)

    def _let_go(self, connection: AbstractConnection) -> None:
        """A new connection next time: what this one may still confirm is nobody's business any more."""
        if self._link is not None and self._link.connection is connection:
            self._link = None
        task = asyncio.create_task(_close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _reason(self, error: BaseException) -> str:
        """Half a sentence without the address, which holds the password."""
        told = next(told for kinds, told in _REASONS if isinstance(error, kinds))
        return told.format(exchange=self._exchange, timeout_s=TIMEOUT_S)


def _address(url: SecretStr) -> URL:
    """The broker's address; the client leaves loose ends behind where it finds out by itself that it is none.

    Raises:
        ValueError: it is none.
    """
    address = URL(url.get_secret_value())
    if address.scheme not in {"amqp", "amqps"} or not address.host:
        raise ValueError("not an address of a broker")
    return address


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
