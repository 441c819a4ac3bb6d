"""What is told to a caller who does not wish to wait for a GPU."""

from __future__ import annotations

from collections.abc import Sequence

from lorapod.errors import Conflict
from lorapod.processes.record import ProcessRecord
from lorapod.processes.status import ProcessStatus
from lorapod.trainers.port import Phase


def refuse_if_busy(holders: Sequence[ProcessRecord], slots: int) -> None:
    """Let a process pass that would have a GPU at once.

    Args:
        holders: the processes that hold one, or wait for one, in the order in which they came.
        slots: how many GPUs there are.

    Raises:
        Conflict: all are taken; with the time until one is free, as far as that is known.
    """
    if len(holders) < slots:
        return
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
    raise Conflict(
        f"The GPU is taken by {names}{ahead}: {until}.",
        hint='Send the request again later, or with "if_busy": "wait".',
        details=[detail],
    )


def _waits(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.QUEUED or record.phase is Phase.WAITING
