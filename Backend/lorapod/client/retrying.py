"""Attempts that are repeated while their error says that this may help."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from lorapod.client.errors import Busy, LorapodError
from lorapod.client.runtime import finish

T = TypeVar("T")


#: Called before a further attempt with the error of the last one, and the seconds until the attempts end.
OnRetry = Callable[[LorapodError, float], None]


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often to repeat a request to an endpoint that is away or busy; the waits double."""

    #: None: as many as `patience_s` allows.
    attempts: int | None = 10
    #: No new attempt starts after this time.
    patience_s: float = 90.0
    first_wait_s: float = 0.25
    longest_wait_s: float = 15.0
    on_retry: OnRetry | None = None


def retry(attempt: Callable[[], T], policy: RetryPolicy) -> T:
    """Return what `attempt` returns; see `retry_async`. The thread waits between two attempts."""

    async def once() -> T:
        return attempt()

    async def pause(seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 -- no event loop runs it

    return finish(retry_async(once, policy, pause))


async def retry_async(
    attempt: Callable[[], Awaitable[T]], policy: RetryPolicy, sleep: Callable[[float], Awaitable[None]]
) -> T:
    """Return what `attempt` returns; call it again while it raises a retryable `LorapodError`.

    Raises:
        LorapodError: the last one, once the policy allows no further attempt.
    """
    deadline = time.monotonic() + policy.patience_s
    wait_s = policy.first_wait_s
    for number in itertools.count(1):
        try:
            return await attempt()
        except LorapodError as error:
            pause_s = wait_s + random.uniform(0, policy.first_wait_s)  # noqa: S311 -- spreads callers, hides nothing
            if isinstance(error, Busy) and error.retry_after_s is not None:
                pause_s = error.retry_after_s
            pause_s = min(pause_s, policy.longest_wait_s)
            if not error.retryable or number == policy.attempts or time.monotonic() + pause_s > deadline:
                raise
            if policy.on_retry is not None:
                policy.on_retry(error, deadline - time.monotonic())
        await sleep(pause_s)
        wait_s = min(wait_s * 2, policy.longest_wait_s)
    raise AssertionError("the loop has no end of its own")
