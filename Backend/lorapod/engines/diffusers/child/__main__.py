"""`python -m lorapod.engines.diffusers.child ADDRESS`: serve one engine, which listens on that abstract socket."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING

from lorapod.engines.diffusers.channel import Channel, ChannelClosed
from lorapod.engines.diffusers.child import quiet_libraries
from lorapod.engines.diffusers.messages import (
    REQUESTS,
    Cancel,
    Cancelled,
    ChildReady,
    Generate,
    Load,
    Loaded,
    Made,
    Message,
    Ping,
    Pong,
    Request,
)
from lorapod.errors import WorkerError

if TYPE_CHECKING:
    from lorapod.engines.diffusers.child.image_generator import ImageGenerator


class ChildServer:
    """Carries requests out one after the other, while a thread of its own listens for cancellations."""

    def __init__(self, channel: Channel[Request]) -> None:
        """Serve over `channel`."""
        self._channel = channel
        self._inbox: SimpleQueue[Load | Generate] = SimpleQueue()
        self._cancelled: set[str] = set()
        self._generator: ImageGenerator | None = None

    def listen(self) -> None:
        """Take requests in until the engine is gone; then end the process at once, whatever it is busy with."""
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

    def serve(self) -> int:
        """Carry requests out; return an exit code once the process cannot be used any more."""
        from lorapod.engines.diffusers.child.failures import failed

        self._channel.send(ChildReady())
        while True:
            request = self._inbox.get()
            try:
                answer = self._load(request) if isinstance(request, Load) else self._generate(request)
            except Exception as error:  # noqa: BLE001 - the edge of the process: whatever it was becomes an answer
                if not isinstance(error, WorkerError) or error.__cause__ is not None:
                    traceback.print_exc()
                answer = failed(error)
                if answer.fatal:
                    self._channel.send(answer)
                    return 1
            if not isinstance(answer, Made):
                # Before the answer: a failed load or image must leave no memory in use for the next one.
                _tidy()
            self._channel.send(answer)

    def _load(self, request: Load) -> Message:
        from lorapod.engines.diffusers.child.image_generator import ImageGenerator
        from lorapod.engines.diffusers.child.loading import load_model

        # First of all: there may be room for one model only.
        self._generator = None
        _tidy()
        model = load_model(request)
        self._generator = ImageGenerator(model)
        return Loaded(
            pipeline=type(model.text_to_image).__name__,
            device=model.device,
            dtype=str(model.dtype).removeprefix("torch."),
        )

    def _generate(self, request: Generate) -> Message:
        from lorapod.engines.diffusers.child.image_generator import GenerationCancelled

        assert self._generator is not None, "nothing is loaded"
        try:
            return self._generator.generate(
                request, self._channel.send, lambda: request.job in self._cancelled
            )
        except GenerationCancelled:
            return Cancelled(job=request.job)
        finally:
            self._cancelled.discard(request.job)


def _tidy() -> None:
    """Give back memory that nothing uses."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _import_libraries() -> None:
    """Import the libraries: it takes seconds, most of a start."""
    from lorapod.engines.diffusers.child import image_generator

    del image_generator
    # What is imported is never garbage: looking through it would take longer than a small image.
    gc.collect()
    gc.freeze()


def main(arguments: Sequence[str]) -> int:
    """Connect, import, serve."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m lorapod.engines.diffusers.child ADDRESS\n")
        return 2
    # Stops come over the connection; a Ctrl+C at the worker's terminal is the worker's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet_libraries()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(f"\0{arguments[0]}")
    server = ChildServer(Channel(connection, REQUESTS))
    threading.Thread(target=server.listen, name="listener", daemon=True).start()
    try:
        _import_libraries()
        return server.serve()
    except ChannelClosed:
        return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the libraries' own farewell, which can hang after an error of CUDA.
    os._exit(code)
