"""Stops. SIGINT: a wish to stop, obeyed at the end of a step while training, at once before and after."""

from __future__ import annotations

import signal
from types import FrameType


class StoppedBySignal(Exception):
    """SIGINT asked the job to stop."""


class StopRequested(Exception):
    """The control table asked the job to stop."""


class Interrupt:
    """Notes SIGINT while a part of the work must not be torn apart."""

    def __init__(self) -> None:
        """Take the signal over; it raises `KeyboardInterrupt` until `hold`."""
        self.wished = False
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def hold(self) -> None:
        """From now on note the signal instead of raising; a second one raises all the same."""
        signal.signal(signal.SIGINT, self._note)

    def check(self) -> None:
        """Stop here, if that was wished.

        Raises:
            StoppedBySignal: it was.
        """
        if self.wished:
            raise StoppedBySignal

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.wished = True
        signal.signal(number, signal.default_int_handler)
