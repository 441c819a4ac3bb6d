"""One process's place in a line, and what it holds once its turn has come."""

from __future__ import annotations

from collections.abc import Callable

from lorapod.processes.slots import Resident, Slot, SlotPool

_NONE = Slot(gpu=None)


class Turn:
    """Stands in one line at a time; for one thread, but for `line`."""

    def __init__(self, line: SlotPool, given_up: Callable[[], bool]) -> None:
        """Stand in no line yet, but mean `line`; `given_up` says that the place is wanted no more."""
        #: Where it stands, or holds a place.
        self.line = line
        #: What it holds; one without a GPU where that is nothing.
        self.slot = _NONE
        self._given_up = given_up
        self._holds = False

    def wait(self, resident: Resident | None = None) -> bool:
        """Wait for a place; False: it was given up. `resident` is what will be left on the GPU."""
        slot = self.line.acquire(self._given_up, resident)
        if slot is None:
            return False
        self.slot, self._holds = slot, True
        return True

    def change(self, line: SlotPool) -> None:
        """Let go, and mean another line from now on."""
        self.end()
        self.line = line

    def end(self) -> None:
        """Let go of what it holds."""
        if self._holds:
            slot, self.slot, self._holds = self.slot, _NONE, False
            self.line.release(slot)
