"""Ending a child in good order: a checkpoint where it can, then SIGINT, SIGTERM, SIGKILL."""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass
from enum import StrEnum

from lorapod.clock import Clock
from lorapod.processes.child import Child
from lorapod.processes.requests import Control

logger = logging.getLogger(__name__)

#: From SIGTERM to SIGKILL.
TERM_GRACE_S = 10.0


class StopReason(StrEnum):
    """Why a process is told to stop."""

    #: Its caller wished so: it ends `cancelled`.
    CANCEL = "cancel"
    #: Its worker is being stopped: it ends `interrupted`.
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, kw_only=True)
class StopRequest:
    """How a process is to be stopped."""

    reason: StopReason
    #: Have it write a checkpoint first.
    save: bool
    #: Seconds for the checkpoint, and again from SIGINT to SIGTERM.
    grace_s: float


class Stopper:
    """Carries one stop request out, a step whenever its time has come; used by the supervisor's thread."""

    def __init__(self, request: StopRequest, child: Child, control: Control | None, clock: Clock) -> None:
        """Begin at once: with the checkpoint where `control` is given and one is wished, else with SIGINT."""
        self.request = request
        self._child = child
        self._clock = clock
        self._grace_s = request.grace_s
        self._control = control if request.save else None
        self._signals = [(signal.SIGTERM, min(TERM_GRACE_S, request.grace_s)), (signal.SIGKILL, TERM_GRACE_S)]
        if self._control is not None:
            self._control.request_save()
            self._deadline = clock.monotonic() + self._grace_s
        else:
            self._interrupt()

    def advance(self) -> None:
        """Do what is due; call about once a second, and whenever the child may have saved."""
        if self._control is not None:
            if self._control.save_pending() and self._clock.monotonic() < self._deadline:
                return
            self._control = None
            self._interrupt()
        elif self._signals and self._clock.monotonic() >= self._deadline:
            number, grace_s = self._signals.pop(0)
            logger.warning("child does not stop", extra={"pid": self._child.pid, "next_signal": number.name})
            self._send(number, grace_s)

    def _interrupt(self) -> None:
        self._send(signal.SIGINT, self._grace_s)

    def _send(self, number: signal.Signals, grace_s: float) -> None:
        self._child.signal(number)
        self._deadline = self._clock.monotonic() + grace_s
