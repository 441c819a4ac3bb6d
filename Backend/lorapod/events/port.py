"""What the courier needs of a way by which events travel.

A sink is called on the courier's event loop, for one process at a time in order, for several at once. It holds
nothing back: whatever it has not confirmed when `deliver` returns or raises is handed to it again, later and perhaps by
another worker, with the same `event_id`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import SecretStr

from lorapod.events.models import Event


class SinkUnavailable(Exception):
    """Nothing could be delivered now; the message is half a sentence that says why, without secrets."""


@dataclass(frozen=True, kw_only=True)
class Callback:
    """Where the caller of one training wants its events."""

    url: str
    #: Sent as a bearer token.
    token: SecretStr | None = None
    #: There is a token, which only the worker that took the request knows.
    locked: bool = False


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """The next events of one process, oldest first; never empty."""

    process_id: str
    events: Sequence[Event]
    callback: Callback | None = None


#: Sends one update to whoever looks at an open job; never blocks.
SendUpdate = Callable[[Mapping[str, Any]], None]


class Updates(Protocol):
    """What an open job shows of the process that it waits for."""

    def show(self, state: object, view: Callable[[], Mapping[str, Any]]) -> None:
        """Say how the process is now.

        Args:
            state: where it differs from the one before, whoever looks must see it at once.
            view: the process as answers show it, made where it is sent.
        """


class Attaching(Protocol):
    """The way by which events, and how a process is, come to jobs that wait for it; safe for any thread."""

    def attach(self, process_id: str, send: SendUpdate) -> AbstractContextManager[Updates]:
        """Have `send` called with updates of a process, as long as the context is open."""


class EventSink(Protocol):
    """One way by which events travel."""

    #: Names it in files, in the log and in `health`: lower case letters.
    name: str
    #: Whether what could not be delivered is kept until it can be; else a failure passes over the events.
    durable: bool
    #: Seconds after which an event that cannot be delivered is given up; None: never.
    patience_s: float | None

    def wants(self, callback: Callback | None) -> bool:
        """Whether it has anything to do with a process whose caller wants its events there."""

    async def deliver(self, parcel: Parcel) -> int:
        """Send events in their order; how many of them, counted from the first, have surely arrived.

        Returns within a few seconds, whatever the other side does.

        Raises:
            SinkUnavailable: none of them could be delivered.
        """

    async def close(self) -> None:
        """Let every connection go; what is on its way is not waited for."""
