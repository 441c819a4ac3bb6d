"""The worker's side of one resident child: its start, its output, its end."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter

import lorapod
from lorapod.clock import Clock
from lorapod.processes.child import Exit
from lorapod.processes.launch import LaunchSpec, WarmSpec
from lorapod.processes.log import REPAINT_INTERVAL_S, Line
from lorapod.processes.pump import Pump, Waker
from lorapod.processes.resident.channel import Channel, ChannelClosed
from lorapod.processes.resident.messages import Message
from lorapod.processes.starting import Starter

logger = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT")

#: Between two looks at the child, and two calls of `tick`.
TICK_S = 1.0

#: From the end of the connection, or SIGKILL, to the exit: the driver gives a large GPU's memory back in seconds.
EXIT_S = 20.0

#: How long the streams of a child that has exited may stay open (something outside its group holds them).
_DRAIN_S = 2.0

#: The guard fences nothing: what a frozen worker's child still writes goes into its own folder.
_NEVER_S = 1e9

_LOOK_S = 0.05
_PEER = struct.Struct("3i")


class NotStarted(Exception):
    """The child ended, or did not connect."""


@dataclass(frozen=True, kw_only=True)
class ResidentSpec(Generic[AnswerT]):
    """What a resident child runs."""

    #: As messages to people and the log call it: `diffusers`.
    title: str
    #: The module that is run, as `python -m` takes it.
    module: str
    #: How its libraries are kept imported.
    warm: WarmSpec
    #: What it sends.
    answers: TypeAdapter[AnswerT]


class ResidentChild(Generic[AnswerT]):
    """One child process; its output is read, and its exit seen, by one thread."""

    def __init__(
        self,
        starter: Starter,
        spec: ResidentSpec[AnswerT],
        environment: Mapping[str, str],
        *,
        write: Callable[[Line], None],
        tick: Callable[[ResidentChild[AnswerT]], None],
    ) -> None:
        """Start it; `connect` comes next.

        Args:
            starter: starts it.
            spec: what it runs.
            environment: what it inherits.
            write: called with each line of its output.
            tick: called about once a second while it lives.

        Raises:
            OSError: it could not be started.
        """
        self.environment = environment
        self._spec = spec
        self._write = write
        self._tick = tick
        self._channel: Channel[AnswerT] | None = None
        #: Set when it has exited and nothing of it is left.
        self.ended = threading.Event()
        self.exit: Exit | None = None
        #: Whether this side ended it.
        self.killed = False
        self._waker = Waker()
        self._passed = threading.Condition()
        self._passes = 0
        name = f"lorapod-{secrets.token_hex(16)}"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # In the abstract namespace: nothing to clean up, and no limit on a folder's depth.
            self._listener.bind(f"\0{name}")
            self._listener.listen()
            launch = LaunchSpec(
                argv=(sys.executable, "-m", spec.module, name),
                cwd=Path(lorapod.__file__).parent.parent,
            )
            self._child = starter.start_child(launch, environment, warm=spec.warm, fence_s=_NEVER_S)
        except BaseException:
            self._listener.close()
            self._waker.close()
            raise
        self._thread = threading.Thread(
            target=self._keep, name=f"{spec.title}-{self._child.pid}", daemon=True
        )
        self._thread.start()

    @property
    def title(self) -> str:
        """As messages to people call it."""
        return self._spec.title

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def connect(self, given_up: Callable[[], bool]) -> None:
        """Wait until it calls back.

        Raises:
            NotStarted: it ended, or `given_up` said so.
        """
        self._listener.settimeout(_LOOK_S)
        try:
            while not (self.ended.is_set() or given_up()):
                try:
                    connection, _ = self._listener.accept()
                except TimeoutError:
                    continue
                if self._is_child(connection):
                    connection.settimeout(None)
                    self._channel = Channel(connection, self._spec.answers)
                    return
                connection.close()
        finally:
            self._listener.close()
        raise NotStarted("the process did not call back")

    def send(self, message: Message) -> None:
        """Ask it for something.

        Raises:
            ChannelClosed: it is gone.
        """
        self._connected().send(message)

    def receive(self, timeout_s: float) -> AnswerT | None:
        """Return its next message; None if none came within `timeout_s`.

        Raises:
            ChannelClosed: it is gone.
        """
        return self._connected().receive(timeout_s)

    def read_out(self) -> None:
        """Wait until all that it has printed so far is written."""
        for _ in range(2):
            with self._passed:
                seen = self._passes
                self._waker.wake()
                self._passed.wait_for(lambda seen=seen: self._passes > seen or self.ended.is_set(), TICK_S)  # type: ignore[misc]

    def kill(self) -> None:
        """End it now, whatever it does. Any thread."""
        if not self.ended.is_set():
            self.killed = True
            self._child.signal(signal.SIGKILL)

    def close(self) -> None:
        """End it, and wait until it is gone, and so the GPU's memory is free. The thread that speaks to it."""
        self.kill()
        if not self.ended.wait(EXIT_S):
            logger.error("the %s process does not end", self._spec.title, extra={"pid": self.pid})
        if self._channel is not None:
            self._channel.close()

    def _connected(self) -> Channel[AnswerT]:
        if self._channel is None:
            raise ChannelClosed("it has not called back")
        return self._channel

    def _is_child(self, connection: socket.socket) -> bool:
        """Return whether the caller is the child: every process of the machine can connect."""
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        return bool(_PEER.unpack(peer)[0] == self._child.pid)

    def _keep(self) -> None:
        try:
            with Pump(self._child, self._waker.descriptor) as pump:
                while not pump.exited:
                    self._pass(pump)
                    self._tick(self)
                self._child.end_group()
                drain_until = time.monotonic() + _DRAIN_S
                while pump.open and time.monotonic() < drain_until:
                    self._pass(pump)
            self.exit = self._child.reap()
        except Exception:
            logger.exception(
                "the %s process is not watched any more", self._spec.title, extra={"pid": self.pid}
            )
            self._child.signal(signal.SIGKILL)
        finally:
            self._waker.close()
            with self._passed:
                self.ended.set()
                self._passed.notify_all()

    def _pass(self, pump: Pump) -> None:
        for line in pump.lines(TICK_S):
            self._write(line)
        with self._passed:
            self._passes += 1
            self._passed.notify_all()


class ChildOutput:
    """Passes the child's lines to the log of the process that uses it now, else to the worker's log."""

    def __init__(self, clock: Clock, title: str) -> None:
        """Pass lines to the worker's log first, as those of the `title` process."""
        self._clock = clock
        self._title = title
        self._log: Callable[[str], None] | None = None
        self._repaint_due_s = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def into(self, log: Callable[[str], None]) -> Iterator[None]:
        """Send lines to `log` until the block ends."""
        with self._lock:
            self._log = log
        try:
            yield
        finally:
            with self._lock:
                self._log = None

    def write(self, line: Line) -> None:
        """Pass one line on; of a progress bar that repaints itself, pass a line now and then."""
        if line.repainted:
            if self._clock.monotonic() < self._repaint_due_s:
                return
            self._repaint_due_s = self._clock.monotonic() + REPAINT_INTERVAL_S
        text = line.text.rstrip()
        if not text:
            return
        with self._lock:
            if self._log is not None:
                self._log(text)
            else:
                logger.info("the %s process says", self._title, extra={"line": text})
