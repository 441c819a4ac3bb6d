"""Who may use a GPU: one process each, the others wait in line. What a process leaves on one stays until another comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lorapod.errors import Conflict
from lorapod.processes.record import ProcessRecord
from lorapod.processes.status import Phase, ProcessStatus


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The right to use one GPU, or, on a machine without any, the processor."""

    #: Index of the GPU as the machine counts it; None: no GPU.
    gpu: int | None

    @property
    def visible_devices(self) -> str:
        """The value of `CUDA_VISIBLE_DEVICES` for its holder."""
        return "" if self.gpu is None else str(self.gpu)


class GpuResident(Protocol):
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
        #: One of them, to be looked at only: how the holder of any slot starts its child.
        self.example = self._free[0]
        self._waiting: list[_Waiter] = []
        self._residents: dict[Slot, GpuResident] = {}
        #: Those that are being released now.
        self._leaving: list[GpuResident] = []
        self._changed = threading.Condition()

    def acquire(self, given_up: Callable[[], bool], resident: GpuResident | None = None) -> Slot | None:
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

    resident: GpuResident | None


_NONE = Slot(gpu=None)


class SlotWait:
    """Stands in one line at a time; for one thread, but for `line`."""

    def __init__(self, line: SlotPool, given_up: Callable[[], bool]) -> None:
        """Stand in no line yet, but mean `line`; `given_up` says that the place is wanted no more."""
        #: Where it stands, or holds a place.
        self.line = line
        #: What it holds; one without a GPU where that is nothing.
        self.slot = _NONE
        self._given_up = given_up
        self._holds = False

    def wait(self, resident: GpuResident | None = None) -> bool:
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


class Holder(Protocol):
    """A process that holds a GPU, or waits for one."""

    @property
    def record(self) -> ProcessRecord:
        """Its present record."""

    @property
    def resident(self) -> GpuResident | None:
        """What it leaves on the GPU."""


def refuse_if_busy(holders: Sequence[Holder], slots: int, resident: GpuResident | None = None) -> None:
    """Let a process pass that would have a GPU at once.

    Args:
        holders: who holds one, or waits for one, in the order in which they came.
        slots: how many GPUs there are.
        resident: what the process will leave on its own: it is never on two, so it waits for whoever has it.

    Raises:
        Conflict: all are taken, or the only one that it can have; with the time until then, as far as that is known.
    """
    records = [holder.record for holder in holders]
    if len(records) >= slots:
        raise _refusal(records, slots)
    if resident is not None and (own := [each.record for each in holders if each.resident is resident]):
        raise _refusal(own, 1)


def _refusal(holders: Sequence[ProcessRecord], slots: int) -> Conflict:
    # Who came first and is still queued is about to get one.
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
        until = "nobody can say yet for how long"
    return Conflict(
        f"The GPU is taken by {names}{ahead}: {until}.",
        hint='Send the request again later, or with "if_busy": "wait".',
        details=[detail],
    )


def _waits(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.QUEUED or record.phase is Phase.WAITING
