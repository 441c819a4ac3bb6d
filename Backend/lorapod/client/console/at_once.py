"""Several things at once on the event loop; the first error ends the others and is raised as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

T = TypeVar("T")


async def at_once(work: Iterable[Coroutine[object, object, T]]) -> list[T]:
    """Return all results in order.

    Raises:
        Exception: the first error; a group of errors would pass by everything that handles one.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
