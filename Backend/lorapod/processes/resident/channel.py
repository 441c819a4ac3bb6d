"""A stream socket that carries messages, each one line of JSON."""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from lorapod.processes.resident.messages import Message

#: Longest message; a request of RunPod's has at most 20 MB.
MESSAGE_MAX_BYTES = 64_000_000

_CHUNK_BYTES = 65_536

MessageT = TypeVar("MessageT")


class ChannelClosed(Exception):
    """The other end is gone, or does not speak this language."""


class Channel(Generic[MessageT]):
    """One end: any thread may send, one thread receives."""

    def __init__(self, connection: socket.socket, received: TypeAdapter[MessageT]) -> None:
        """Speak over `connection`, which must block; what comes is one of `received`."""
        self._connection = connection
        self._received = received
        self._rest = bytearray()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            ChannelClosed: the other end is gone.
        """
        line = message.model_dump_json().encode() + b"\n"
        try:
            with self._lock:
                self._connection.sendall(line)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self, timeout_s: float | None = None) -> MessageT | None:
        """Return the next message; None if none came within `timeout_s`.

        Raises:
            ChannelClosed: the other end is gone, or sent something else.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (end := self._rest.find(b"\n")) < 0:
            wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._read(wait_s):
                return None
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        try:
            return self._received.validate_json(line)
        except ValueError as error:
            raise ChannelClosed(f"not a message: {line[:200]!r}") from error

    def _read(self, wait_s: float | None) -> bool:
        try:
            arrivals = select.poll()
            arrivals.register(self._connection, select.POLLIN)
            if not arrivals.poll(None if wait_s is None else wait_s * 1000):
                return False
            chunk = self._connection.recv(_CHUNK_BYTES)
        except (OSError, ValueError) as error:
            raise ChannelClosed(str(error)) from error
        if not chunk:
            raise ChannelClosed("the connection has ended")
        self._rest += chunk
        if len(self._rest) > MESSAGE_MAX_BYTES:
            raise ChannelClosed("a message has no end")
        return True
