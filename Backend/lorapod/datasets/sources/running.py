"""Async work inside a supervisor's thread, ended within a moment of a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

#: Between two questions whether to stop.
STOP_LOOK_S = 0.2

Result = TypeVar("Result")


class Stopped(Exception):
    """The work was asked to stop."""


def run_until(stopped: Callable[[], bool], work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` answers, from an event loop of its own.

    Threads that the work began and that hang (a name server, a network volume) are left behind, not waited for: that
    is why this is not `asyncio.run`.

    Raises:
        Stopped: `stopped` became true; the work was cancelled.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)

    def look() -> None:
        if stopped():
            task.cancel()
        else:
            loop.call_later(STOP_LOOK_S, look)

    loop.call_soon(look)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        raise Stopped from None
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
