"""What is told to a caller who does not wish to wait for a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lorapod.errors import Conflict
from lorapod.processes.record import ProcessRecord
from lorapod.processes.slots import Resident
from lorapod.processes.status import ProcessStatus
from lorapod.trainers.port import Phase


class Holder(Protocol):
    """A process that holds a GPU, or waits for one."""

    @property
    def record(self) -> ProcessRecord:
        """Its present record."""

    @property
    def resident(self) -> Resident | None:
        """What it leaves on the GPU."""


def refuse_if_busy(holders: Sequence[Holder], slots: int, resident: Resident | None = None) -> None:
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
