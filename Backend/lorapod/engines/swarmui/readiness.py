"""Whether SwarmUI can generate now, and how long it is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lorapod.clock import Clock
from lorapod.engines.swarmui.connection import SwarmUnreachable
from lorapod.engines.swarmui.session import SwarmCaller
from lorapod.errors import UpstreamError, WorkerError, WorkerTimeout

#: Between two looks at a server that is not ready.
LOOK_S = 0.5

#: How long a server that has answered before may take to restart.
RESTART_S = 60.0

#: Longest that one look may take.
_ANSWER_S = 10.0

#: Between two log lines while a server starts.
_TELL_EVERY_S = 30.0

#: States of the backends in which SwarmUI takes a generation: it waits for what is loading by itself.
_TAKING = frozenset({"running", "some_loading", "loading"})

_NO_BACKEND = "Configure a backend in SwarmUI (its `Data/Backends.fds`), and see its log."


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The state of the programs that generate for SwarmUI."""

    #: `running`, `loading`, `some_loading`, `errored`, `empty`, `all_disabled`, `disabled`, `idle`, `unknown`.
    status: str
    any_loading: bool
    #: In SwarmUI's own words.
    message: str

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Backends:
        """Read them from an answer that carries `backend_status`."""
        told = answer.get("backend_status")
        found = told if isinstance(told, Mapping) else {}
        return cls(
            status=str(found.get("status", "unknown")),
            any_loading=found.get("any_loading") is True,
            message=str(found.get("message") or ""),
        )

    def sentence(self) -> str:
        """Return their state in one sentence for a person."""
        plain = {
            "running": "its backends run",
            "loading": "its backends are still loading",
            "some_loading": "one of its backends runs, others are still loading",
            "errored": "one of its backends has failed, see its log",
            "empty": "no backend is configured",
            "all_disabled": "all of its backends are disabled",
            "disabled": "its backends are disabled",
            "idle": "its backends are idle",
        }
        return plain.get(self.status, f"the state of its backends is {self.status[:40]!r}")

    def refusal(self) -> WorkerError | None:
        """Return the error if waiting is useless; None if it can generate, or will be able to."""
        if self.status in {"empty", "all_disabled", "disabled"}:
            return UpstreamError(f"SwarmUI cannot generate: {self.sentence()}.", hint=_NO_BACKEND)
        return None

    @property
    def take(self) -> bool:
        """Whether a generation may be asked for now."""
        return self.status in _TAKING or (self.status == "errored" and not self.any_loading)


async def backends(caller: SwarmCaller, *, timeout_s: float = _ANSWER_S) -> Backends:
    """Return the state of the backends; raise as `SwarmCaller.call` does."""
    return Backends.read(await caller.call("GetCurrentStatus", timeout_s=timeout_s))


async def ready(
    caller: SwarmCaller,
    *,
    patience_s: float,
    clock: Clock,
    report: Callable[[str], None],
) -> Backends:
    """Wait until SwarmUI takes a generation.

    An errored backend does not end the wait while another is loading: the rest may still do.

    Args:
        caller: the session to ask in.
        patience_s: the longest wait.
        clock: measures it.
        report: called with a sentence at first, and now and then.

    Raises:
        WorkerTimeout: it was not ready in time.
        UpstreamError: it will never be: it has no backends.
    """
    until_s = clock.monotonic() + patience_s
    tell_s = clock.monotonic()
    while True:
        why = "it does not answer"
        try:
            found = await backends(caller, timeout_s=min(_ANSWER_S, max(1.0, patience_s)))
        except (SwarmUnreachable, WorkerTimeout):
            pass
        else:
            if (refusal := found.refusal()) is not None:
                raise refusal
            if found.take:
                return found
            why = found.sentence()
        if clock.monotonic() >= until_s:
            raise WorkerTimeout(
                f"SwarmUI was not ready within {patience_s:.0f} s: {why}.",
                hint="Its own log says why; STARTUP_TIMEOUT sets how long it is waited for.",
            )
        if clock.monotonic() >= tell_s:
            report(f"waiting for SwarmUI: {why}")
            tell_s = clock.monotonic() + _TELL_EVERY_S
        await asyncio.sleep(LOOK_S)
