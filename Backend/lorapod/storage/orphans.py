"""Remove the parts of uploads whose worker was killed: they cost money, and no listing shows them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from lorapod.clock import Clock
from lorapod.errors import WorkerError
from lorapod.storage.port import ObjectStore

logger = logging.getLogger(__name__)

#: A younger upload may still be running, on any worker.
ORPHAN_AGE = timedelta(hours=12)
#: Between two looks at one store.
INTERVAL_S = 6 * 3600.0


@runtime_checkable
class Sweepable(Protocol):
    """A store that may hold such uploads: S3."""

    def sweep(self, under: str = "", *, before: datetime) -> int:
        """Abort the uploads below a folder that started before a time, and return how many."""


class OrphanSweep:
    """Aborts old uploads below a folder, at the first call and then every `INTERVAL_S`; for one thread at a time."""

    def __init__(self, clock: Clock) -> None:
        """Start due."""
        self._clock = clock
        self._due_s = 0.0

    def look(self, store: ObjectStore, under: str = "") -> None:
        """Sweep below `under`, a folder that only this worker uploads to, if it is due. A refusal of the store is ignored.

        It costs a request, so call it after the uploads.
        """
        if not isinstance(store, Sweepable) or self._clock.monotonic() < self._due_s:
            return
        self._due_s = self._clock.monotonic() + INTERVAL_S
        try:
            count = store.sweep(under, before=self._clock.now() - ORPHAN_AGE)
        except WorkerError as error:
            # Usually the key has no right to list uploads.
            logger.info("orphan uploads are not swept", extra={"under": under, "reason": error.message})
            return
        if count:
            logger.info("orphan uploads removed", extra={"under": under, "count": count})
