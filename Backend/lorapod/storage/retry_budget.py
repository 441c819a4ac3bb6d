"""How long a store that is away is waited for."""

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

    Only the waits count, not the attempts: an upload that took ten minutes and then broke off is begun again.
    """

    total_s: float = 300.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 15.0

    @property
    def attempts(self) -> int:
        """How often something is tried at most."""
        count, waited_s, wait_s = 1, 0.0, self.first_wait_s
        while waited_s < self.total_s:
            waited_s += wait_s
            wait_s = min(wait_s * 2, self.longest_wait_s)
            count += 1
        return count

    def call(self, attempt: Callable[[], Answer]) -> Answer:
        """Call until it succeeds, the store refuses, or patience ends.

        Raises:
            StoreUnavailable: the last attempt's.
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
