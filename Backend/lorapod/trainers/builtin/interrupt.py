"""Stop requests. SIGINT stops a training at the end of the current step, and at once before and after the training."""

from __future__ import annotations

import signal
from types import FrameType


class StoppedBySignal(Exception):
    """SIGINT asked the job to stop."""


class StopRequested(Exception):
    """The control table asked the job to stop."""


class Interrupt:
    """A handler of SIGINT that can postpone the stop."""

    def __init__(self) -> None:
        """Handle the signal from now on; it raises `KeyboardInterrupt` until `hold` is called."""
        self.requested = False
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def hold(self) -> None:
        """From now on, let the first signal only set a flag; a second one raises `KeyboardInterrupt`."""
        signal.signal(signal.SIGINT, self._note)

    def check(self) -> None:
        """Stop here if the signal came.

        Raises:
            StoppedBySignal: it came.
        """
        if self.requested:
            raise StoppedBySignal

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(number, signal.default_int_handler)
