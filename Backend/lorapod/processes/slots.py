"""Who may use a GPU: one process each, the others wait in line."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The right to use one GPU, or, on a machine without any, the processor."""

    #: Index of the GPU as the machine counts it; None: no GPU.
    gpu: int | None

    @property
    def visible_devices(self) -> str:
        """The value of `CUDA_VISIBLE_DEVICES` for its holder."""
        return "" if self.gpu is None else str(self.gpu)


class SlotPool:
    """Hands slots out in the order of asking; safe for any thread."""

    def __init__(self, gpus: Sequence[int]) -> None:
        """One slot a GPU; where there is none, a single one without."""
        self._free = [Slot(gpu=gpu) for gpu in gpus] or [Slot(gpu=None)]
        #: One of them, to be looked at only: what any holder's surroundings are like.
        self.example = self._free[0]
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def acquire(self, given_up: Callable[[], bool]) -> Slot | None:
        """Wait for a slot; None when `given_up`, asked again at every `wake`, says that it is wanted no more."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: given_up() or (self._free and self._waiting[0] is ticket))
                return None if given_up() else self._free.pop(0)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def release(self, slot: Slot) -> None:
        """Give a slot back."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def wake(self) -> None:
        """Have every waiter ask whether it still wants its slot."""
        with self._changed:
            self._changed.notify_all()
