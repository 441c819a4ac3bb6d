"""What a person has asked a worker, while it is under way: one question a subject, and how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lorapod.client.console.endpoint_calls import waits_for_worker
from lorapod.client.errors import LorapodError
from lorapod.client.job import QueueJob


@dataclass(kw_only=True)
class WorkerAsk:
    """One question to a worker, from its start to its end."""

    began_at: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    #: Whether no worker has taken it yet.
    waits: bool = False
    #: Files that are here, and of how many.
    done: int = 0
    total: int = 0
    ended: bool = False
    error: LorapodError | None = None

    def on_job(self, job: QueueJob) -> None:
        """Note whether a worker has the job."""
        self.waits = waits_for_worker(job)

    def view(self) -> dict[str, Any]:
        """Return it as the browser gets it."""
        problem = None
        if self.error is not None:
            problem = {"error": self.error.message, "hint": self.error.hint, "code": self.error.code}
        return {
            "began_at": self.began_at,
            "waits": self.waits and not self.ended,
            "done": self.done,
            "total": self.total,
            "ended": self.ended,
            "problem": problem,
        }


Question = Callable[[WorkerAsk], Awaitable[None]]


class WorkerAsks:
    """The newest question of each subject."""

    def __init__(self) -> None:
        self._asks: dict[str, WorkerAsk] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, subject: str, question: Question) -> WorkerAsk:
        """Ask, unless a question about the same subject is under way; return the one that is."""
        before = self._asks.get(subject)
        if before is not None and not before.ended:
            return before
        ask = self._asks[subject] = WorkerAsk()
        task = asyncio.create_task(_carry_out(ask, question), name=f"ask {subject}")
        self._tasks[subject] = task
        task.add_done_callback(lambda _: self._tasks.pop(subject, None))
        return ask

    def view(self, subject: str) -> dict[str, Any] | None:
        """Return the newest question about a subject as the browser gets it."""
        ask = self._asks.get(subject)
        return None if ask is None else ask.view()

    async def settle(self) -> None:
        """Wait until no question is under way."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up what is under way here; jobs continue on the worker."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry_out(ask: WorkerAsk, question: Question) -> None:
    try:
        await question(ask)
    except LorapodError as error:
        ask.error = error
    finally:
        ask.ended = True
