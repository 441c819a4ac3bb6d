"""One resident child at a time: started when it is needed, ended when it is idle or its GPU is wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic

from lorapod.clock import Clock
from lorapod.processes.resident.child import AnswerT, ChildOutput, ResidentChild, ResidentSpec
from lorapod.processes.resident.conversation import Conversation, ResidentStopped, Wait
from lorapod.processes.starting import Starter


class ResidentProgram(Generic[AnswerT]):
    """Keeps a child loaded between the processes that use it; one process uses it at a time."""

    def __init__(
        self, spec: ResidentSpec[AnswerT], *, starter: Starter, clock: Clock, start: Wait, idle_s: float
    ) -> None:
        """Start nothing yet.

        Args:
            spec: what the child runs.
            starter: starts it.
            clock: measures how long it has been idle.
            start: how long its imports may take.
            idle_s: after so many seconds without work it is ended.
        """
        self._spec = spec
        self._starter = starter
        self._clock = clock
        self._start_wait = start
        self._idle_s = idle_s
        self._output = ChildOutput(clock, spec.title)
        self._lock = threading.Lock()
        self._child: ResidentChild[AnswerT] | None = None
        #: What the child has loaded; None: nothing, or there is no child.
        self._loaded: object = None
        self._busy = self._closed = False
        self._idle_since_s = 0.0

    @property
    def resident(self) -> bool:
        """Whether there is a child that lives."""
        with self._lock:
            return self._child is not None and not self._child.ended.is_set()

    @property
    def loaded(self) -> object:
        """What was set with `set_loaded` for the child that lives; None: nothing."""
        return self._loaded if self.resident else None

    def set_loaded(self, loaded: object) -> None:
        """Remember what the child has loaded."""
        with self._lock:
            self._loaded = loaded

    @contextmanager
    def use(self, log: Callable[[str], None]) -> Iterator[None]:
        """Pass the child's output to `log`, and never take it for idle, until the block ends."""
        with self._lock:
            self._busy = True
        try:
            with self._output.into(log):
                try:
                    yield
                finally:
                    if self._child is not None:
                        self._child.read_out()
        finally:
            with self._lock:
                self._busy = False
                self._idle_since_s = self._clock.monotonic()

    def open(
        self,
        environment: Mapping[str, str],
        stopped: Callable[[], bool],
        *,
        starting: Callable[[], None],
        log: Callable[[str], None],
    ) -> Conversation[AnswerT]:
        """Return a conversation with the child that is there, or with a new one once nothing is left of that.

        Args:
            environment: what the child inherits.
            stopped: whether to end early.
            starting: called if a child has to be started.
            log: gets a line about that.

        Raises:
            ResidentStopped: it was stopped.
            WorkerError: the child ended, or took too long.
            OSError: it could not be started.
        """
        child = self._child
        if child is not None and not child.killed and child.environment == dict(environment):
            conversation = Conversation(child=child, stopped=stopped, clock=self._clock)
            if conversation.is_alive():
                return conversation
        self.release()
        starting()
        child = self._start(dict(environment), stopped)
        log(f"started the {self._spec.title} process {child.pid}")
        conversation = Conversation(child=child, stopped=stopped, clock=self._clock)
        conversation.connect(self._start_wait)
        return conversation

    def release(self) -> None:
        """End the child: the only sure way to free all of its GPU memory."""
        with self._lock:
            child, self._child, self._loaded = self._child, None, None
        if child is not None:
            child.close()

    def close(self) -> None:
        """End the child, also in the middle of its work."""
        with self._lock:
            self._closed = True
            busy, child = self._busy, self._child
        if busy and child is not None:
            # The thread that uses it notices the end.
            child.kill()
        else:
            self.release()

    def _start(self, environment: Mapping[str, str], stopped: Callable[[], bool]) -> ResidentChild[AnswerT]:
        self._starter.await_ready(self._spec.warm, environment, stopped)
        with self._lock:
            if self._closed or stopped():
                raise ResidentStopped
            self._child = ResidentChild(
                self._starter, self._spec, environment, write=self._output.write, tick=self._end_if_idle
            )
            return self._child

    def _end_if_idle(self, child: ResidentChild[AnswerT]) -> None:
        with self._lock:
            idle_s = self._clock.monotonic() - self._idle_since_s
            if not self._busy and idle_s >= self._idle_s:
                child.kill()
