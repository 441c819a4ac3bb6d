"""Run async work in a supervisor's thread, and end it soon after a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

#: Time between two checks for a stop.
STOP_LOOK_S = 0.2

Result = TypeVar("Result")


class Stopped(Exception):
    """The work was stopped on request."""


def run_until(stopped: Callable[[], bool], work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` in an event loop of its own, and return its result.

    Threads of the work that hang (a name server, a network volume) are not waited for; `asyncio.run` would wait.

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
