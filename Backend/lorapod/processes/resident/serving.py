"""The child's side: carry requests out one after the other. No torch is imported here."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

from lorapod.errors import ErrorCode, WorkerError
from lorapod.library_errors import code_of
from lorapod.processes.resident.channel import Channel, ChannelClosed
from lorapod.processes.resident.messages import Cancel, ChildReady, Failed, Message, Ping, Pong

RequestT = TypeVar("RequestT", bound=Message)
RequestT_contra = TypeVar("RequestT_contra", bound=Message, contravariant=True)

_SENTENCES = {
    ErrorCode.OUT_OF_MEMORY: "The GPU ran out of memory",
    ErrorCode.INSUFFICIENT_MEMORY: "The machine ran out of memory",
    ErrorCode.INSUFFICIENT_STORAGE: "The workspace's disk is full",
}
_HINTS = {
    ErrorCode.INSUFFICIENT_MEMORY: "Use a smaller model, or take a machine with more memory.",
    ErrorCode.INSUFFICIENT_STORAGE: "Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume.",
    ErrorCode.GPU_UNAVAILABLE: "Take a machine with a newer driver or another GPU type; the log has the details.",
}


class Jobs(Protocol[RequestT_contra]):
    """What a child does; imported only in the child."""

    #: What to do when the GPU's memory did not suffice.
    memory_hint: str

    def carry_out(
        self, request: RequestT_contra, send: Callable[[Message], None], cancelled: Callable[[], bool]
    ) -> Message:
        """Do what is asked, and return the last answer; `send` sends the others.

        Raises:
            Exception: it could not be done; it becomes a `failed`.
        """

    def tidy(self) -> None:
        """Give back memory that nothing uses."""


class ChildServer(Generic[RequestT]):
    """Carries requests out one after the other, while its own thread listens for cancellations."""

    def __init__(self, channel: Channel[RequestT | Cancel | Ping]) -> None:
        """Serve over `channel`."""
        self._channel = channel
        self._inbox: SimpleQueue[RequestT] = SimpleQueue()
        self._cancelled: set[str] = set()

    def listen(self) -> None:
        """Take requests in until the worker is gone; then end the process at once, whatever it is busy with."""
        try:
            while True:
                request = self._channel.receive()
                if isinstance(request, Cancel):
                    self._cancelled.add(request.job)
                elif isinstance(request, Ping):
                    self._channel.send(Pong())
                elif request is not None:
                    self._inbox.put(request)
        except ChannelClosed:
            os._exit(0)

    def serve(self, jobs: Jobs[RequestT]) -> int:
        """Carry requests out; return an exit code once the process cannot be used any more."""
        self._channel.send(ChildReady())
        while True:
            request = self._inbox.get()
            job = getattr(request, "job", None)
            try:
                answer = jobs.carry_out(request, self._channel.send, lambda job=job: job in self._cancelled)  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001 - the edge of the process: whatever it was becomes an answer
                if not isinstance(error, WorkerError) or error.__cause__ is not None:
                    traceback.print_exc()
                answer = failed(error, memory_hint=jobs.memory_hint)
                if answer.fatal:
                    self._channel.send(answer)
                    return 1
                # Before the answer: what failed must leave no memory in use for the next one.
                jobs.tidy()
            finally:
                self._cancelled.discard(job or "")
            self._channel.send(answer)


def failed(error: Exception, *, memory_hint: str) -> Failed:
    """Return the message for an exception; it is fatal after a CUDA error: this process can then not use the GPU."""
    if isinstance(error, WorkerError):
        return Failed(code=error.code, message=error.message, hint=error.hint)
    code = code_of(error)
    reason = " ".join(str(error).split())[:500] or type(error).__name__
    sentence = _SENTENCES.get(code)
    return Failed(
        code=code,
        message=f"{sentence}: {reason}" if sentence else f"{type(error).__name__}: {reason}",
        hint=memory_hint if code is ErrorCode.OUT_OF_MEMORY else _HINTS.get(code, ""),
        fatal=code is ErrorCode.GPU_UNAVAILABLE,
    )


def run_child(
    arguments: Sequence[str],
    requests: TypeAdapter[Any],
    make: Callable[[], Jobs[RequestT]],
) -> int:
    """Connect to the worker, which listens on the abstract socket in `arguments`; import by `make`, and serve."""
    if len(arguments) != 1:
        sys.stderr.write("a resident child takes one argument: the address of its worker\n")
        return 2
    # Stops come over the connection; a Ctrl+C at the worker's terminal is the worker's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(f"\0{arguments[0]}")
    server = ChildServer(Channel(connection, requests))
    threading.Thread(target=server.listen, name="listener", daemon=True).start()
    try:
        # The imports take seconds, most of a start.
        jobs = make()
        # What is imported is never garbage: looking through it would take longer than a small image.
        gc.collect()
        gc.freeze()
        return server.serve(jobs)
    except ChannelClosed:
        return 0


def end_process(code: int) -> None:
    """End without the libraries' own farewell, which can hang after an error of CUDA."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
