"""How children are started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lorapod.processes.child import Child, start_child
from lorapod.processes.launch import LaunchSpec, WarmSpec


class Starter(Protocol):
    """Starts the children of one worker; safe for any thread."""

    def begin_soon(self, warm: WarmSpec | None, environment: Mapping[str, str]) -> None:
        """Get ready for launches of one trainer, a little later; returns at once."""

    def settle(
        self, warm: WarmSpec | None, environment: Mapping[str, str], given_up: Callable[[], bool]
    ) -> None:
        """Wait until it is decided how a launch starts; called before each, while its process is not yet alive.

        Args:
            warm: how its trainer is kept warm.
            environment: what it will inherit.
            given_up: asked often; True ends the wait.
        """

    def start_child(
        self, spec: LaunchSpec, environment: Mapping[str, str], *, warm: WarmSpec | None, fence_s: float
    ) -> Child:
        """Start a child at once; see `lorapod.processes.child.start_child`.

        Raises:
            OSError: see there.
        """

    def close(self) -> None:
        """Leave nothing behind but children that run."""


class ColdStarter:
    """Starts each child from nothing."""

    def begin_soon(self, warm: WarmSpec | None, environment: Mapping[str, str]) -> None:
        """Nothing to get ready."""

    def settle(
        self, warm: WarmSpec | None, environment: Mapping[str, str], given_up: Callable[[], bool]
    ) -> None:
        """Nothing to wait for."""

    def start_child(
        self, spec: LaunchSpec, environment: Mapping[str, str], *, warm: WarmSpec | None, fence_s: float
    ) -> Child:
        """Start it."""
        del warm
        return start_child(spec, environment, fence_s=fence_s)

    def close(self) -> None:
        """Nothing was left."""
