"""A page of processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus


def first_page(
    records: Iterable[ProcessRecord],
    *,
    status: ProcessStatus | None = None,
    limit: int,
    sweep_id: str | None = None,
) -> tuple[Sequence[ProcessRecord], str | None]:
    """Return up to `limit` records, and the id of the last one if there are more.

    Args:
        records: the newest first; no more of them are taken than needed.
        status: only those in this state.
        limit: most of them.
        sweep_id: the trainings of this sweep; without it, trainings of sweeps are left out.
    """
    found: list[ProcessRecord] = []
    for record in records:
        if record.sweep_id == sweep_id and (status is None or record.status is status):
            if len(found) == limit:
                return found, found[-1].process_id
            found.append(record)
    return found, None
