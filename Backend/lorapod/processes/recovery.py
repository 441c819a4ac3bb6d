"""What a worker takes up again when it starts."""

from __future__ import annotations

import logging

from lorapod.errors import WorkerError
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.status import ProcessStatus

logger = logging.getLogger(__name__)

#: How many processes to look at, newest first: what is older was left on purpose.
LOOKED_AT = 200


def resume_interrupted(manager: RealProcessManager) -> None:
    """Resume every interrupted process among the newest; of several workers that try, one succeeds with each."""
    try:
        interrupted, _ = manager.page(status=ProcessStatus.INTERRUPTED, limit=LOOKED_AT, before=None)
        for record in reversed(interrupted):
            _resume(manager, record.process_id)
    except Exception:
        logger.exception("interrupted processes could not be taken up")


def _resume(manager: RealProcessManager, process_id: str) -> None:
    try:
        manager.resume(process_id)
    except WorkerError as error:
        logger.warning("not resumed", extra={"process_id": process_id, "reason": error.message})
    else:
        logger.info("resumed", extra={"process_id": process_id})
