"""Work at SwarmUI that is stopped, or takes too long: interrupt SwarmUI, then give up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from lorapod.engines.port import GenerationStopped
from lorapod.errors import WorkerError, WorkerTimeout

Answer = TypeVar("Answer")

#: Between two looks at whether to end.
LOOK_S = 0.1

#: How long work may take to end after an interrupt.
GRACE_S = 3.0


async def stoppable(
    work: Coroutine[Any, Any, Answer],
    *,
    stopped: Callable[[], bool],
    interrupt: Callable[[], Awaitable[None]] | None,
    within_s: float,
    what: str,
) -> Answer:
    """Return the result of `work`, unless it is stopped before.

    Args:
        work: what is done.
        stopped: whether to end early.
        interrupt: interrupts SwarmUI; may fail with a `WorkerError` if it has gone. None: it does nothing yet
            that would have to end.
        within_s: how long `work` may take.
        what: what takes too long, for the error.

    Raises:
        GenerationStopped: `stopped` said so.
        WorkerTimeout: it took too long.
    """
    task = asyncio.ensure_future(work)
    until_s = asyncio.get_running_loop().time() + within_s
    try:
        while not task.done():
            late = asyncio.get_running_loop().time() >= until_s
            if late or stopped():
                if interrupt is not None:
                    await _interrupted(interrupt)
                    await asyncio.wait({task}, timeout=GRACE_S)
                if late:
                    raise WorkerTimeout(
                        f"{what} took longer than {within_s:.0f} s and was ended.",
                        hint="Ask for less, or raise GENERATION_TIMEOUT.",
                    )
                raise GenerationStopped
            await asyncio.wait({task}, timeout=LOOK_S)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
        # Its own error does not matter if another one is raised.
        await asyncio.gather(task, return_exceptions=True)


async def _interrupted(interrupt: Callable[[], Awaitable[None]]) -> None:
    try:
        await interrupt()
    except WorkerError:
        # Gone already; then there is nothing to interrupt.
        return
