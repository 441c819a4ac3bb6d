"""Write events to the worker's own log."""

from __future__ import annotations

import logging

from lorapod.events.port import Callback, Parcel

logger = logging.getLogger(__name__)


class LogSink:
    """An `EventSink` that writes a line for each event."""

    name = "log"
    durable = False
    patience_s: float | None = None

    def wants(self, callback: Callback | None) -> bool:
        """Return True: it logs the events of every process."""
        del callback
        return True

    async def deliver(self, parcel: Parcel) -> int:
        """Write the events."""
        for event in parcel.events:
            data = event.data.model_dump(mode="json", exclude_none=True)
            logger.info(
                event.event_type.value,
                extra={
                    "process_id": event.process_id,
                    "job_id": event.job_id,
                    "sequence": event.sequence,
                    "data": data,
                },
            )
        return len(parcel.events)

    async def close(self) -> None:
        """Do nothing: no connection is open."""
