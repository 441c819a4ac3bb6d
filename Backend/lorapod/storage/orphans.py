"""Uploads that a worker began and was killed over: their parts are paid for and seen nowhere."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from lorapod.clock import Clock
from lorapod.errors import WorkerError
from lorapod.storage.port import ObjectStore

logger = logging.getLogger(__name__)

#: A younger upload may still be on its way, from whatever worker.
ORPHAN_AGE = timedelta(hours=12)
#: Between two looks at one store.
INTERVAL_S = 6 * 3600.0


@runtime_checkable
class Sweepable(Protocol):
    """A store that may hold such uploads; of the kinds here S3 alone."""

    def sweep(self, under: str = "", *, before: datetime) -> int:
        """End the uploads below a folder that were begun before a moment; answers how many."""


class OrphanSweep:
    """Ends what is old below a folder of ours, at the first call and then now and then; for one thread at a time."""

    def __init__(self, clock: Clock) -> None:
        """Be due at once."""
        self._clock = clock
        self._due_s = 0.0

    def look(self, store: ObjectStore, under: str = "") -> None:
        """Sweep below `under`, a folder that nobody else uploads to, where it is time; a store that refuses is let be.

        It costs one request, so it belongs behind what is waited for.
        """
        if not isinstance(store, Sweepable) or self._clock.monotonic() < self._due_s:
            return
        self._due_s = self._clock.monotonic() + INTERVAL_S
        try:
            count = store.sweep(under, before=self._clock.now() - ORPHAN_AGE)
        except WorkerError as error:
            # Most often a key without the right to list uploads.
            logger.info("orphan uploads are not swept", extra={"under": under, "reason": error.message})
            return
        if count:
            logger.info("orphan uploads removed", extra={"under": under, "count": count})
