"""Who may use a GPU: one process each, the others wait in line. What a process leaves on one stays until another comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The right to use one GPU, or, on a machine without any, the processor."""

    #: Index of the GPU as the machine counts it; None: no GPU.
    gpu: int | None

    @property
    def visible_devices(self) -> str:
        """The value of `CUDA_VISIBLE_DEVICES` for its holder."""
        return "" if self.gpu is None else str(self.gpu)


class Resident(Protocol):
    """What stays loaded on a GPU after the process that needed it, so that the next such process starts fast."""

    def release(self) -> None:
        """Give the GPU's memory up, at once; also where none is held."""


class SlotPool:
    """Hands slots out in the order of asking; safe for any thread.

    Whoever gets a slot has it alone: a resident that an earlier holder left there is released first, unless it is the
    new holder's own. One resident is never on two GPUs: its next process waits for the one where it is.
    """

    def __init__(self, gpus: Sequence[int | None]) -> None:
        """One slot a GPU; where there is none, a single one without."""
        self._free = [Slot(gpu=gpu) for gpu in gpus] or [Slot(gpu=None)]
        self.count = len(self._free)
        #: One of them, to be looked at only: what any holder's surroundings are like.
        self.example = self._free[0]
        self._waiting: list[_Waiter] = []
        self._residents: dict[Slot, Resident] = {}
        #: Those that are being released now.
        self._leaving: list[Resident] = []
        self._changed = threading.Condition()

    def acquire(self, given_up: Callable[[], bool], resident: Resident | None = None) -> Slot | None:
        """Wait for a slot; None when `given_up`, asked again at every `wake`, says that it is wanted no more.

        Args:
            given_up: whether to wait no longer.
            resident: what the holder will leave on the GPU.
        """
        waiter = _Waiter(resident=resident)
        with self._changed:
            self._waiting.append(waiter)
            try:
                self._changed.wait_for(lambda: given_up() or self._due(waiter) is not None)
                slot = None if given_up() else self._due(waiter)
                if slot is None:
                    return None
                self._free.remove(slot)
                left = self._residents.pop(slot, None)
                if left is resident:
                    left = None
                if left is not None:
                    self._leaving.append(left)
                if resident is not None:
                    self._residents[slot] = resident
            finally:
                self._waiting.remove(waiter)
                self._changed.notify_all()
        if left is not None:
            try:
                left.release()
            except BaseException:
                self.release(slot)
                raise
            finally:
                with self._changed:
                    self._leaving.remove(left)
                    self._changed.notify_all()
        return slot

    def release(self, slot: Slot) -> None:
        """Give a slot back."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def wake(self) -> None:
        """Have every waiter ask whether it still wants its slot."""
        with self._changed:
            self._changed.notify_all()

    def _due(self, waiter: _Waiter) -> Slot | None:
        """The slot that is this waiter's now; each earlier one takes the first that suits it."""
        free = list(self._free)
        for earlier in self._waiting:
            suitable = [slot for slot in free if self._suits(slot, earlier)]
            slot = min(suitable, key=lambda slot: self._disturbs(slot, earlier), default=None)
            if earlier is waiter:
                return slot
            if slot is not None:
                free.remove(slot)
        return None

    def _suits(self, slot: Slot, waiter: _Waiter) -> bool:
        if waiter.resident is not None and waiter.resident in self._leaving:
            # Its release, which is still under way, would end what this waiter loads.
            return False
        homes = [known for known, resident in self._residents.items() if resident is waiter.resident]
        return not homes or slot in homes

    def _disturbs(self, slot: Slot, waiter: _Waiter) -> bool:
        """Whether somebody would have to be released."""
        resident = self._residents.get(slot)
        return resident is not None and resident is not waiter.resident


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waiter:
    """One place in the line."""

    resident: Resident | None
