"""Questions to a worker or to the volume while they are under way: one a subject, and how far it is."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lorapod.client.console import moments
from lorapod.client.console.endpoint_calls import waits_for_worker
from lorapod.client.errors import LorapodError
from lorapod.client.job import QueueJob

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class OpenQuestion:
    """One question, from its start to its end."""

    began_at: str = field(default_factory=moments.now)
    #: On the monotonic clock; None: it is under way.
    ended_s: float | None = None
    #: Whether no worker has taken it yet.
    waits: bool = False
    #: Files that are here, and of how many.
    done: int = 0
    total: int = 0
    #: The process that it started, if that was the question.
    made: str | None = None
    error: LorapodError | None = None
    #: What a page shows once of the answer, such as the preview of an edit.
    answer: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Return whether it has ended."""
        return self.ended_s is not None

    def on_job(self, job: QueueJob) -> None:
        """Note whether a worker has the job."""
        self.waits = waits_for_worker(job)

    def view(self) -> dict[str, Any]:
        """Return it as the browser gets it."""
        problem = None
        if self.error is not None:
            problem = {
                "error": self.error.message,
                "hint": self.error.hint,
                "code": self.error.code,
                "details": list(self.error.details),
            }
        return {
            "began_at": self.began_at,
            "waits": self.waits and not self.ended,
            "done": self.done,
            "total": self.total,
            "made": self.made,
            "ended": self.ended,
            "problem": problem,
            "answer": self.answer,
        }


Question = Callable[[OpenQuestion], Awaitable[None]]


class OpenQuestions:
    """The newest question of each subject."""

    def __init__(self) -> None:
        self._questions: dict[str, OpenQuestion] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, subject: str, question: Question) -> OpenQuestion:
        """Ask, unless a question about the same subject is under way; return the one that is."""
        before = self._questions.get(subject)
        if before is not None and not before.ended:
            return before
        ask = self._questions[subject] = OpenQuestion()
        task = asyncio.create_task(_carry_out(ask, question), name=f"ask {subject}")
        self._tasks[subject] = task
        task.add_done_callback(lambda _: self._tasks.pop(subject, None))
        return ask

    def age_s(self, subject: str) -> float:
        """Return how long ago the newest question about a subject ended: 0 while it is open; infinite if there was none."""
        newest = self._questions.get(subject)
        if newest is None:
            return math.inf
        return 0.0 if newest.ended_s is None else time.monotonic() - newest.ended_s

    def is_open(self, subject: str) -> bool:
        """Return whether a question about a subject is under way."""
        newest = self._questions.get(subject)
        return newest is not None and not newest.ended

    def view(self, subject: str) -> dict[str, Any] | None:
        """Return the newest question about a subject as the browser gets it."""
        ask = self._questions.get(subject)
        return None if ask is None else ask.view()

    async def wait(self, subject: str) -> None:
        """Wait for the end of the question about a subject, if one is under way."""
        task = self._tasks.get(subject)
        if task is not None:
            await asyncio.shield(task)

    async def settle(self) -> None:
        """Wait until no question is under way."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up what is under way here; jobs continue on the worker."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry_out(ask: OpenQuestion, question: Question) -> None:
    try:
        await question(ask)
    except LorapodError as error:
        ask.error = error
    except Exception:
        log.exception("question failed")
        ask.error = LorapodError(
            "The console could not read the answer.",
            hint="Its terminal says more; is the worker of another version?",
        )
    finally:
        ask.ended_s = time.monotonic()
