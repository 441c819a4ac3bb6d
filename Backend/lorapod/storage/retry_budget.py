"""Try again while a store does not answer, for a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

from lorapod.errors import WorkerError
from lorapod.storage.port import StoreUnavailable

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class RetryBudget:
    """Waits that double from `first_wait_s` to `longest_wait_s`, until they add up to `total_s`.

    Only the waits count, not the attempts: an upload that broke off after ten minutes is still tried again.
    """

    total_s: float = 300.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 15.0

    @property
    def attempts(self) -> int:
        """The most attempts that fit the budget."""
        count, waited_s, wait_s = 1, 0.0, self.first_wait_s
        while waited_s < self.total_s:
            waited_s += wait_s
            wait_s = min(wait_s * 2, self.longest_wait_s)
            count += 1
        return count

    def call(self, attempt: Callable[[], Answer]) -> Answer:
        """Call `attempt` until it succeeds, raises anything but `StoreUnavailable`, or the budget is used up.

        Raises:
            StoreUnavailable: raised by the last attempt.
        """
        for trial in stamina.retry_context(
            on=StoreUnavailable,
            attempts=self.attempts,
            timeout=None,
            wait_initial=self.first_wait_s,
            wait_max=self.longest_wait_s,
            wait_jitter=self.first_wait_s / 2,
        ):
            with trial:
                return attempt()
        raise WorkerError  # the loop above returns or raises
