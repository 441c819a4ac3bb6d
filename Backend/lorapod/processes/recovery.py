"""Which interrupted processes a worker resumes when it starts (`AUTO_RESUME`)."""

from __future__ import annotations

import logging
from datetime import timedelta

from lorapod.clock import Clock
from lorapod.errors import NotFound, WorkerError
from lorapod.processes.manager import RealProcessManager
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus

logger = logging.getLogger(__name__)

#: How many records are read at most, the newest processes first.
LOOKED_AT = 200

#: A process that was interrupted longer ago is left alone.
MAX_AGE = timedelta(days=3)


def resume_interrupted(manager: RealProcessManager, clock: Clock) -> None:
    """Resume what was interrupted lately, oldest first; if several workers try, one succeeds with each process."""
    try:
        for record in reversed(_interrupted(manager, clock)):
            _resume(manager, record.process_id)
    except Exception:
        logger.exception("interrupted processes could not be resumed")


def _interrupted(manager: RealProcessManager, clock: Clock) -> list[ProcessRecord]:
    """Return the interrupted processes that can be resumed, newest first; reads `LOOKED_AT` records at most."""
    found = []
    types = {kind.name for kind in manager.kinds if kind.resumable}
    for process_id in manager.newest_ids(types, LOOKED_AT):
        try:
            record = manager.get(process_id)
        except NotFound:
            continue
        ended_at = record.ended_at or record.created_at
        if record.status is ProcessStatus.INTERRUPTED and clock.now() - ended_at <= MAX_AGE:
            found.append(record)
    return found


def _resume(manager: RealProcessManager, process_id: str) -> None:
    try:
        accepted = manager.resume(process_id, unasked=True)
    except WorkerError as error:
        logger.warning("not resumed", extra={"process_id": process_id, "reason": error.message})
    else:
        if accepted.begun:
            logger.info("resumed", extra={"process_id": process_id})
