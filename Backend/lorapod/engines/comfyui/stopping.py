"""Waits on ComfyUI that a stop of the generation ends: a server that hangs must not block it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lorapod.errors import WorkerTimeout

#: How often a stop is asked for.
TICK_S = 0.2

ResultT = TypeVar("ResultT")


class PromptCancelled(Exception):
    """The generation was stopped, and its prompt, if it had one, has ended."""


async def unless_stopped(
    work: Coroutine[Any, Any, ResultT], stopped: Callable[[], bool], *, deadline_s: float | None = None
) -> ResultT:
    """Do `work`, or give it up.

    Args:
        work: talks to ComfyUI.
        stopped: whether the generation is to end.
        deadline_s: when it is given up, on the monotonic clock; None: never.

    Raises:
        PromptCancelled: the generation was stopped.
        WorkerTimeout: the deadline passed.
    """
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait({task}, timeout=TICK_S))[0]:
        late = deadline_s is not None and time.monotonic() >= deadline_s
        if stopped() or late:
            await end(task)
            if late and not stopped():
                raise WorkerTimeout("ComfyUI did not answer in time.")
            raise PromptCancelled
    return await task


async def end(task: asyncio.Future[Any]) -> None:
    """Cancel a task, and see it end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
