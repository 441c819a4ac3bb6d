"""The progress of a generation beside its result: on stderr, so that a pipe gets the files alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from rich.markup import escape
from rich.status import Status

from lorapod.client.commands.endings import watching_ends
from lorapod.client.commands.panel import state_line
from lorapod.client.commands.screen import Screen, draws


class GenerationScreen:
    """One line that changes in a terminal, else a line for each change; nothing with `--json`."""

    def __init__(self, screen: Screen) -> None:
        """Show nothing yet."""
        self._screen = screen
        self._status: Status | None = None
        self._last = ""
        self._paused = ExitStack()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the line that changes."""
        if self._status is not None:
            self._status.stop()
        self._paused.close()

    def show(self, update: Mapping[str, Any]) -> None:
        """Show a progress update; ignore what is not one of a process."""
        if "process_id" in update:
            self._screen.if_interrupted = watching_ends(update["process_id"])
        if self._screen.as_json or "process_id" not in update or "progress" not in update:
            return
        line = state_line(update)
        if line == self._last:
            return
        self._last = line
        if not draws(self._screen.aside):
            self._screen.aside.print(line, markup=False)
        elif self._status is None:
            self._paused.enter_context(self._screen.waiting.paused())
            self._status = self._screen.aside.status(escape(line))
            self._status.start()
        else:
            self._status.update(escape(line))
