"""Send the results of jobs to their webhooks."""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from lorapod.endpoint.jobs import EndpointJob

log = logging.getLogger(__name__)

#: How long one attempt may take.
ATTEMPT_TIMEOUT_S = 30.0


class Webhooks:
    """Senders of results, a task for each job."""

    def __init__(self, *, attempts: int, wait_s: float) -> None:
        """Send each result up to `attempts` times, `wait_s` apart, until the answer is below 400."""
        self._attempts = attempts
        self._wait_s = wait_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def announce(self, job: EndpointJob) -> None:
        """Start to send the answer of `/status` for `job`, if it has a webhook."""
        if job.webhook is None:
            return
        task = asyncio.create_task(self._send(job, job.webhook), name=f"webhook-{job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the sends that are not finished."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _send(self, job: EndpointJob, url: str) -> None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, raise_for_status=True)
        body = b"".join(job.for_caller())
        headers = {"Content-Type": "application/json"}
        for attempt in range(1, self._attempts + 1):
            try:
                async with self._session.post(url, data=body, headers=headers):
                    return
            except (aiohttp.ClientError, TimeoutError) as error:
                if attempt == self._attempts:
                    log.warning(
                        "the webhook of a job could not be delivered in %d attempts: %s",
                        self._attempts,
                        error,
                        extra={"job_id": job.id},
                    )
                    return
            await asyncio.sleep(self._wait_s)
