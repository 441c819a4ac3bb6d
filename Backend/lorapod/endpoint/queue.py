"""The queue: job ids in order, and workers that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque


class JobQueue:
    """Job ids, first in first out, with removal from the middle and return to the front."""

    def __init__(self) -> None:
        """Create an empty queue."""
        self._ids: dict[str, None] = {}
        self._front: deque[str] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return len(self._front) + len(self._ids)

    def ids(self) -> list[str]:
        """Return the waiting jobs, the next first."""
        return [*self._front, *self._ids]

    def put(self, job_id: str) -> None:
        """Add a job at the end."""
        self._ids[job_id] = None
        self._wake()

    def put_back(self, job_id: str) -> None:
        """Add a job at the front, because it has waited before."""
        self._front.append(job_id)
        self._wake()

    def discard(self, job_id: str) -> None:
        """Remove a job from any place."""
        if job_id in self._ids:
            del self._ids[job_id]
        elif job_id in self._front:
            self._front.remove(job_id)

    async def take(self, limit: int) -> list[str]:
        """Wait for a job and return up to `limit` jobs.

        Cancelling the wait loses no job: jobs leave the queue only when this returns.
        """
        while not len(self):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                waiter.cancel()
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                elif len(self):
                    self._wake()
                raise
        return [self._pop() for _ in range(min(limit, len(self)))]

    def _pop(self) -> str:
        if self._front:
            return self._front.popleft()
        job_id = next(iter(self._ids))
        del self._ids[job_id]
        return job_id

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
