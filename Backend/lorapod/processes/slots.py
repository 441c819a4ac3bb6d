"""GPU slots: each is held by one process, and the others wait in the order of asking."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

from lorapod.errors import Conflict
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus

#: The numbers that processes draw: a smaller one comes first.
NUMBERS = count(1)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The right to use one GPU, or the processor on a machine without a GPU."""

    #: Index of the GPU as the machine counts it; None: no GPU.
    gpu: int | None

    @property
    def visible_devices(self) -> str:
        """The value of `CUDA_VISIBLE_DEVICES` for its holder."""
        return "" if self.gpu is None else str(self.gpu)


class GpuResident(Protocol):
    """What stays loaded on a GPU after its process has ended, so that the next such process starts fast."""

    def release(self) -> None:
        """Free the GPU's memory at once; do nothing if it holds none."""


class SlotPool:
    """Hands slots out in the order of asking; safe for any thread.

    The holder has its slot alone: a resident that an earlier holder left there is released first, unless it is the
    new holder's own. One resident is never on two GPUs: its next process waits for the one where it is.
    """

    def __init__(self, gpus: Sequence[int | None]) -> None:
        """Make one slot for each GPU, or a single slot without one if there is no GPU."""
        self._free = [Slot(gpu=gpu) for gpu in gpus] or [Slot(gpu=None)]
        self.count = len(self._free)
        #: One of the slots, for its environment only.
        self.example = self._free[0]
        self._waiting: list[_Waiter] = []
        self._residents: dict[Slot, GpuResident] = {}
        #: Residents that are being released now.
        self._leaving: list[GpuResident] = []
        self._lock = threading.Lock()

    def acquire(
        self, given_up: Callable[[], bool], resident: GpuResident | None = None, *, number: int | None = None
    ) -> Slot | None:
        """Wait for a slot; return None once `given_up` returns True. `wake` has it called again.

        Args:
            given_up: whether to wait no longer.
            resident: what the holder will leave on the GPU.
            number: its place in line, of `next(NUMBERS)`; None: the last.
        """
        waiter = _Waiter(
            number=next(NUMBERS) if number is None else number,
            resident=resident,
            given_up=given_up,
            called=threading.Condition(self._lock),
        )
        with self._lock:
            bisect.insort(self._waiting, waiter, key=lambda each: each.number)
            try:
                waiter.called.wait_for(lambda: given_up() or self._due(waiter) is not None)
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
                self._call_next()
        if left is not None:
            try:
                left.release()
            except BaseException:
                self.release(slot)
                raise
            finally:
                with self._lock:
                    self._leaving.remove(left)
                    self._call_next()
        return slot

    def release(self, slot: Slot) -> None:
        """Give a slot back."""
        with self._lock:
            self._free.append(slot)
            self._call_next()

    def wake(self) -> None:
        """Call the `given_up` of every waiter again; wake only those that have given up, for there may be thousands."""
        with self._lock:
            for waiter in self._waiting:
                if waiter.given_up():
                    waiter.called.notify()

    def _call_next(self) -> None:
        """Wake the waiters that get a slot now; the lock is held."""
        for waiter, _ in self._turns():
            waiter.called.notify()

    def _due(self, waiter: _Waiter) -> Slot | None:
        """Return the slot that this waiter gets now."""
        return next((slot for each, slot in self._turns() if each is waiter), None)

    def _turns(self) -> Iterator[tuple[_Waiter, Slot]]:
        """Yield who gets which free slot; earlier waiters choose first."""
        free = list(self._free)
        for waiter in self._waiting:
            if not free:
                return
            suitable = [slot for slot in free if self._suits(slot, waiter)]
            slot = min(suitable, key=partial(self._disturbs, waiter), default=None)
            if slot is not None:
                free.remove(slot)
                yield waiter, slot

    def _suits(self, slot: Slot, waiter: _Waiter) -> bool:
        if waiter.resident is not None and waiter.resident in self._leaving:
            # Its release, which is still under way, would end what this waiter loads.
            return False
        homes = [known for known, resident in self._residents.items() if resident is waiter.resident]
        return not homes or slot in homes

    def _disturbs(self, waiter: _Waiter, slot: Slot) -> bool:
        """Return whether another resident would have to be released."""
        resident = self._residents.get(slot)
        return resident is not None and resident is not waiter.resident


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waiter:
    """One waiting process."""

    number: int
    resident: GpuResident | None
    given_up: Callable[[], bool]
    #: Notified when it gets a slot, or has given up.
    called: threading.Condition


_NONE = Slot(gpu=None)


class SlotWait:
    """One process's wait for a slot of one pool at a time; for one thread, except `line`."""

    def __init__(self, line: SlotPool, given_up: Callable[[], bool]) -> None:
        """Choose the pool, but do not wait yet; `given_up` returns whether to wait no longer."""
        #: The pool that it waits for, or holds a slot of.
        self.line = line
        #: The slot that it holds; a slot without a GPU if it holds none.
        self.slot = _NONE
        self._given_up = given_up
        self._holds = False
        #: Drawn now: threads that wait for their turn may begin to do so in any order.
        self._number = next(NUMBERS)

    def wait(self, resident: GpuResident | None = None) -> bool:
        """Wait for a slot; return False if the wait was given up. `resident` will be left on the GPU."""
        slot = self.line.acquire(self._given_up, resident, number=self._number)
        if slot is None:
            return False
        self.slot, self._holds = slot, True
        return True

    def change(self, line: SlotPool) -> None:
        """Release the slot, and choose another pool."""
        self.end()
        self.line = line

    def end(self) -> None:
        """Release the slot, if it holds one."""
        if self._holds:
            slot, self.slot, self._holds = self.slot, _NONE, False
            self.line.release(slot)


class Holder(Protocol):
    """A process that holds a GPU, or waits for one."""

    @property
    def record(self) -> ProcessRecord:
        """Its present record."""

    @property
    def resident(self) -> GpuResident | None:
        """What it leaves on the GPU."""


def refuse_if_busy(holders: Sequence[Holder], slots: int, resident: GpuResident | None = None) -> None:
    """Refuse a process that could not have a GPU at once.

    Args:
        holders: who holds one, or waits for one, in the order in which they came.
        slots: how many GPUs there are.
        resident: what the process will leave on its own: it is never on two, so the process waits for the one that has it.

    Raises:
        Conflict: all are taken, or the only one that it can have; with the time until then, as far as that is known.
    """
    records = [holder.record for holder in holders]
    if len(records) >= slots:
        raise _refusal(records, slots)
    if resident is not None and (own := [each.record for each in holders if each.resident is resident]):
        raise _refusal(own, 1)


def _refusal(holders: Sequence[ProcessRecord], slots: int) -> Conflict:
    # A process that came first and is still queued is about to get a slot.
    by_turn = sorted(holders, key=_waits)
    holding, waiting = by_turn[:slots], len(holders) - slots
    etas = [record.progress.eta_s for record in holding if record.progress.eta_s is not None]
    names = ", ".join(record.process_id for record in holding)
    ahead = f", and {waiting} more wait" if waiting else ""
    detail: dict[str, object] = {"field": "if_busy", "error": "the GPU is taken", "ahead": len(holders)}
    if etas:
        detail["estimated_wait_s"] = round(min(etas), 1)
        least = "at least " if waiting or len(etas) < len(holding) else "about "
        until = f"for {least}{min(etas):.0f} s"
    else:
        until = "it is not known yet for how long"
    return Conflict(
        f"The GPU is taken by {names}{ahead}: {until}.",
        hint='Send the request again later, or with "if_busy": "wait".',
        details=[detail],
    )


def _waits(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.QUEUED or record.phase is Phase.WAITING
