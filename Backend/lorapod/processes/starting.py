"""The port of what starts children, and the starter that starts each cold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lorapod.processes.child import Child, start_child
from lorapod.processes.launch import LaunchSpec, WarmSpec


class Starter(Protocol):
    """What starts the children of one worker; safe for any thread."""

    def begin_soon(self, warm: WarmSpec | None, environment: Mapping[str, str]) -> None:
        """Prepare for launches of one trainer, a little later; return at once."""

    def await_ready(
        self, warm: WarmSpec | None, environment: Mapping[str, str], given_up: Callable[[], bool]
    ) -> None:
        """Wait until it is decided how the next launch starts; call it before each, while the process has no child.

        Args:
            warm: how its trainer is kept warm.
            environment: what the child will inherit.
            given_up: called often; True ends the wait.
        """

    def start_child(
        self, spec: LaunchSpec, environment: Mapping[str, str], *, warm: WarmSpec | None, fence_s: float
    ) -> Child:
        """Start a child at once; see `lorapod.processes.child.start_child`.

        Raises:
            OSError: see there.
        """

    def close(self) -> None:
        """End everything that was started, except the children that still run."""


class ColdStarter:
    """A `Starter` that starts each child as a new program."""

    def begin_soon(self, warm: WarmSpec | None, environment: Mapping[str, str]) -> None:
        """Do nothing."""

    def await_ready(
        self, warm: WarmSpec | None, environment: Mapping[str, str], given_up: Callable[[], bool]
    ) -> None:
        """Return at once."""

    def start_child(
        self, spec: LaunchSpec, environment: Mapping[str, str], *, warm: WarmSpec | None, fence_s: float
    ) -> Child:
        """Start the child."""
        del warm
        return start_child(spec, environment, fence_s=fence_s)

    def close(self) -> None:
        """Do nothing."""
