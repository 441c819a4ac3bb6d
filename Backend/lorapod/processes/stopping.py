"""Stopping a child: a checkpoint if it can write one, then SIGINT, SIGTERM, SIGKILL."""

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

#: What a process that ends by itself has for its checkpoint, in seconds.
OWN_GRACE_S = 120.0


class StopReason(StrEnum):
    """Why a process is to be stopped; of two reasons, the first one here counts."""

    #: Its caller asked for it: the process ends `cancelled`.
    CANCEL = "cancel"
    #: The sweep that it belongs to was cancelled: the process ends `cancelled`, with this reason.
    SWEEP = "sweep"
    #: It has reached a limit of its request: the process ends `cancelled`, with this reason.
    LIMIT = "limit"
    #: It no longer gets better: the process ends `cancelled`, with this reason.
    NO_IMPROVEMENT = "no_improvement"
    #: Its worker is being stopped: the process ends `interrupted`.
    SHUTDOWN = "shutdown"

    @property
    def told(self) -> str | None:
        """The reason as a record has it; None for a person's own cancel, and for a shutdown."""
        return None if self in {StopReason.CANCEL, StopReason.SHUTDOWN} else str(self)


@dataclass(frozen=True, kw_only=True)
class StopRequest:
    """How a process is to be stopped."""

    reason: StopReason
    #: Whether it writes a checkpoint first.
    save: bool
    #: Seconds for the checkpoint, and again as many from SIGINT to SIGTERM.
    grace_s: float

    def merged(self, other: StopRequest) -> StopRequest:
        """Return this request with another one added: the first reason in the order of `StopReason`, the smaller grace."""
        merged = StopRequest(
            reason=min(self.reason, other.reason, key=list(StopReason).index),
            save=self.save and other.save,
            grace_s=min(self.grace_s, other.grace_s),
        )
        return self if merged == self else merged


class Stopper:
    """One stop request while it is carried out, step by step; for the supervisor's thread."""

    def __init__(self, request: StopRequest, child: Child, control: Control | None, clock: Clock) -> None:
        """Begin at once: with the checkpoint if one is asked for and `control` is given, else with SIGINT."""
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
        """Take the next step if it is due; call about once a second, and whenever the child may have saved."""
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
