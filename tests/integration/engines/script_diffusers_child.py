"""Stands in for the diffusers child: speaks its language without its libraries, and misbehaves on demand.

What it does is said by the environment (`START`), by the model's name, and by the prompt.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from lorapod.engines.diffusers.messages import (
    REQUESTS,
    Generate,
    Load,
    Loaded,
    Made,
    MadeImage,
    Request,
    StepProgress,
)
from lorapod.errors import ErrorCode
from lorapod.processes.resident.channel import Channel, ChannelClosed
from lorapod.processes.resident.messages import Cancel, Cancelled, ChildReady, Failed, Ping, Pong

cancelled: set[str] = set()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def misbehave(word: str, connection: socket.socket) -> None:
    """End, or hang, where the word says so."""
    if "die" in word:
        say("about to die")
        os.kill(os.getpid(), signal.SIGKILL)
    if "abort" in word:
        os.abort()
    if "exit" in word:
        os._exit(3)
    if "hang" in word:
        time.sleep(600)
    if "garble" in word:
        connection.sendall(b"what?\n")


def generate(request: Generate, channel: Channel[Request]) -> Made | Cancelled | Failed:
    steps = 10_000 if "endless" in request.prompt else 3
    for step in range(1, steps + 1):
        channel.send(StepProgress(job=request.job, step=step, total_steps=steps, image=1))
        if request.job in cancelled and "deaf" not in request.prompt:
            return Cancelled(job=request.job)
        time.sleep(0.01)
    if "starve" in request.prompt:
        return Failed(code=ErrorCode.OUT_OF_MEMORY, message="The GPU ran out of memory.", hint="Less.")
    if "break" in request.prompt:
        return Failed(code=ErrorCode.GPU_UNAVAILABLE, message="CUDA error", fatal=True)
    path = request.folder / "image_000.png"
    path.write_text(f"{os.getpid()}")
    return Made(
        job=request.job, images=(MadeImage(path=path, seed=request.seed),), warnings=("It is a script.",)
    )


def main() -> None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    start = os.environ.get("START", "")
    misbehave(start, connection)
    connection.connect(f"\0{sys.argv[1]}")
    channel = Channel(connection, REQUESTS)
    inbox: queue.SimpleQueue[Load | Generate] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                request = channel.receive()
                if isinstance(request, Cancel):
                    cancelled.add(request.job)
                elif isinstance(request, Ping):
                    channel.send(Pong())
                elif request is not None:
                    inbox.put(request)
        except ChannelClosed:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    channel.send(ChildReady())
    say("it runs")
    while True:
        request = inbox.get()
        if isinstance(request, Load):
            misbehave(Path(request.model).name, connection)
            channel.send(Loaded(pipeline="Script", device="cpu", dtype="float32"))
        else:
            misbehave(request.prompt, connection)
            channel.send(generate(request, channel))


if __name__ == "__main__":
    main()
