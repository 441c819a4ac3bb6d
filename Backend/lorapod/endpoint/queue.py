"""The waiting line: job ids in order, and workers that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque


class JobQueue:
    """Job ids, first in first out, with removal from the middle and return to the front."""

    def __init__(self) -> None:
        """An empty queue."""
        self._ids: dict[str, None] = {}
        self._front: deque[str] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._front) + len(self._ids)

    def ids(self) -> list[str]:
        """The waiting jobs, the next first."""
        return [*self._front, *self._ids]

    def put(self, job_id: str) -> None:
        """Add a job at the end."""
        self._ids[job_id] = None
        self._wake()

    def put_back(self, job_id: str) -> None:
        """Add a job at the front: it has waited before."""
        self._front.append(job_id)
        self._wake()

    def discard(self, job_id: str) -> None:
        """Take a job out, wherever it stands."""
        if job_id in self._ids:
            del self._ids[job_id]
        elif job_id in self._front:
            self._front.remove(job_id)

    async def take(self, limit: int) -> list[str]:
        """Up to `limit` jobs, waiting for the first one.

        Cancelling the wait loses nothing: jobs leave the queue only when this returns.
        """
        while not len(self):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                turn.cancel()
                if turn in self._waiting:
                    self._waiting.remove(turn)
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
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
