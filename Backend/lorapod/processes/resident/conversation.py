"""The requests of one process to a resident child."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from lorapod.clock import Clock
from lorapod.errors import InternalError, OutOfMemory, WorkerError, WorkerTimeout, error_of
from lorapod.processes.resident.channel import ChannelClosed
from lorapod.processes.resident.child import AnswerT, NotStarted, ResidentChild
from lorapod.processes.resident.messages import Cancel, Failed, Message, Ping, Pong

#: How long the present step may continue after a stop; then the child is ended.
CANCEL_S = 10.0

#: How long an idle child may take to answer; then it is replaced.
ANSWER_S = 5.0

#: From the end of the connection to the exit that explains it.
_DEATH_S = 2.0

_LOOK_S = 0.1


class ResidentStopped(Exception):
    """The process that uses the child was stopped."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """How long to wait for an answer, and what is said if none comes."""

    limit_s: float
    #: What the child did not do, after `The … process`: `did not load the model`.
    failing: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Conversation(Generic[AnswerT]):
    """Sends the requests of one process; after a failure the child has ended, or is ready for the next."""

    child: ResidentChild[AnswerT]
    #: Whether the process is to end early.
    stopped: Callable[[], bool]
    clock: Clock

    def connect(self, wait: Wait) -> None:
        """Wait for the child's imports.

        Raises:
            ResidentStopped: it was stopped.
            WorkerError: the child ended, or took too long.
        """
        deadline = self.clock.monotonic() + wait.limit_s
        try:
            self.child.connect(lambda: self.stopped() or self.clock.monotonic() >= deadline)
        except NotStarted as error:
            raise self._gave_up(deadline, wait) from error
        self._await(lambda answer: getattr(answer, "kind", "") == "ready", deadline, wait)

    def is_alive(self) -> bool:
        """Return whether a child that served an earlier process still answers.

        It may have been killed a moment ago, by the worker for being idle or by the system for lack of memory: its end
        shows only seconds later, when the driver has given its memory back.

        Raises:
            ResidentStopped: it was stopped.
        """
        deadline = self.clock.monotonic() + ANSWER_S
        try:
            self.child.send(Ping())
            while self.clock.monotonic() < deadline:
                if isinstance(self.child.receive(_LOOK_S), Pong):
                    return True
                if self.stopped():
                    raise ResidentStopped
        except ChannelClosed:
            pass
        return False

    def ask(
        self,
        request: Message,
        wanted: Callable[[AnswerT], bool],
        wait: Wait,
        *,
        cancel: Cancel | None = None,
    ) -> AnswerT:
        """Send a request, and return the first answer that is `wanted`; every other answer is passed to it too.

        Args:
            request: what to do.
            wanted: returns whether an answer is the last one.
            wait: for how long.
            cancel: how the request is ended early; None: only with the process.

        Raises:
            ResidentStopped: it was stopped.
            WorkerError: it could not be done.
        """
        deadline = self.clock.monotonic() + wait.limit_s
        self._send(request)
        return self._await(wanted, deadline, wait, cancel=cancel)

    def _await(
        self,
        wanted: Callable[[AnswerT], bool],
        deadline: float,
        wait: Wait,
        *,
        cancel: Cancel | None = None,
    ) -> AnswerT:
        cancel_deadline: float | None = None
        while True:
            now = self.clock.monotonic()
            if now >= (deadline if cancel_deadline is None else cancel_deadline):
                raise self._gave_up(deadline, wait)
            if cancel_deadline is None and self.stopped():
                if cancel is None:
                    # A load can be ended only with the process.
                    raise self._gave_up(deadline, wait)
                self._send(cancel)
                cancel_deadline = now + CANCEL_S
            try:
                answer = self.child.receive(_LOOK_S)
            except ChannelClosed as error:
                raise self._death() from error
            if isinstance(answer, Failed):
                raise self._failure(answer)
            if answer is not None and wanted(answer):
                return answer

    def _send(self, message: Message) -> None:
        try:
            self.child.send(message)
        except ChannelClosed as error:
            raise self._death() from error

    def _failure(self, answer: Failed) -> WorkerError:
        if answer.fatal:
            self.child.close()
        return error_of(answer.code, answer.message, hint=answer.hint)

    def _gave_up(self, deadline: float, wait: Wait) -> Exception:
        """End the child, whose state is not known any more; return the error to raise."""
        died = self.child.ended.is_set() and not self.child.killed
        if died:
            return self._death()
        self.child.close()
        if self.stopped() or self.clock.monotonic() < deadline:
            return ResidentStopped()
        return WorkerTimeout(
            f"The {self.child.title} process {wait.failing} within {wait.limit_s:g} s, and was ended.",
            hint=wait.hint,
        )

    def _death(self) -> Exception:
        """Return the error to raise after the connection has ended."""
        self.child.ended.wait(_DEATH_S)
        if self.child.killed:
            # The worker ends: nothing else ends it while it works.
            return ResidentStopped()
        title = self.child.title
        if not self.child.ended.is_set():
            self.child.close()
            return InternalError(f"The {title} process is not understood any more, and was ended.")
        how = self.child.exit
        if how is not None and how.signal == signal.SIGKILL:
            return OutOfMemory(
                f"The {title} process was killed from outside, most likely because the machine ran out of memory.",
                hint="Use a smaller model, or take a machine with more memory.",
            )
        if how is not None and how.signal is not None:
            said = f"was ended by {signal.Signals(how.signal).name}"
        else:
            said = f"ended with exit code {how.exit_code if how else None}"
        return InternalError(
            f"The {title} process {said} in the middle of its work.",
            hint="The log has its last lines; the next request starts it again.",
        )
