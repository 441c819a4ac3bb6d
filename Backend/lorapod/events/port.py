"""The port of event sinks: RabbitMQ, callbacks, the worker's log, open RunPod jobs, plug-ins.

A sink is called on the courier's event loop: for one process in order, for several processes at once. It queues nothing
itself: what it has not confirmed when `deliver` returns or raises is passed to it again, later and perhaps by another
worker, with the same `event_id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from lorapod.events.models import Event


class SinkUnavailable(Exception):
    """No event could be delivered now; the message is half a sentence that says why, without secrets."""


@dataclass(frozen=True, kw_only=True)
class Callback:
    """The URL that the caller of one training wants its events at."""

    url: str
    #: Sent as a bearer token.
    token: SecretStr | None = None
    #: There is a token, but this worker has no key to decrypt it.
    locked: bool = False


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """The next events of one process, oldest first; never empty."""

    process_id: str
    events: Sequence[Event]
    callback: Callback | None = None


@dataclass(frozen=True, kw_only=True)
class SinkState:
    """The state of a sink, for `health`."""

    name: str
    #: Events of this worker's processes that have not arrived.
    undelivered: int = 0
    #: Why the last delivery of one of them failed; None: no delivery failed.
    error: str | None = None


class EventSink(Protocol):
    """Delivers events to one kind of receiver."""

    #: Its name in files, in the log and in `health`: lower case letters.
    name: str
    #: Whether events that could not be delivered are kept and sent later; else they are dropped.
    durable: bool
    #: Seconds after which an event that cannot be delivered is dropped; None: never.
    patience_s: float | None

    def wants(self, callback: Callback | None) -> bool:
        """Return whether it delivers the events of a process with this callback; None: the process has no callback."""

    async def deliver(self, parcel: Parcel) -> int:
        """Send events in their order, and return how many of them, from the first on, have surely arrived.

        Return within a few seconds, whatever the receiver does.

        Raises:
            SinkUnavailable: no event could be delivered.
        """

    async def close(self) -> None:
        """Close every connection, without waiting for events that are being sent."""
