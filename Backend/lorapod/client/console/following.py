"""A process from its start to its end, as its open job shows it: that costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from lorapod.client.console.known_processes import ENDED
from lorapod.client.console.parts import ConsoleParts
from lorapod.client.job import QueueJob

_POLL_S: Final = 1.0


async def until_its_end(
    parts: ConsoleParts, job: QueueJob, process: Mapping[str, Any]
) -> AsyncIterator[Mapping[str, Any]]:
    """Yield a process as it is now, again and again; the last time it has ended.

    Raises:
        LorapodError: its job failed, or the endpoint does not answer.
    """
    while process["status"] not in ENDED:
        yield process
        await asyncio.sleep(_POLL_S)
        if job.status.ended:
            # The job has ended before its process: only a worker knows.
            process = await parts.calls.call("process_status", process_id=process["process_id"])
            continue
        job = await parts.calls.job(job.job_id)
        if job.status.ended:
            process = job.result()
        elif isinstance(job.output, dict) and "process_id" in job.output:
            process = job.output
    yield process
