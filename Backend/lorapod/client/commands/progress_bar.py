"""A bar in images for processes that make many of them, on stderr."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lorapod.client.commands.endings import watching_ends
from lorapod.client.commands.panel import state_line
from lorapod.client.commands.screen import Screen, draws


class ImageBar:
    """A bar in images in a terminal, else a line for each change; nothing with `--json`."""

    def __init__(self, screen: Screen) -> None:
        """Show nothing yet."""
        self._screen = screen
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._in_terminal = draws(screen.aside) and not screen.as_json
        self._bar = Progress(*columns, console=screen.aside, transient=True, disable=not self._in_terminal)
        self._task = self._bar.add_task("waiting", total=None)
        self._last = ""
        self._paused = ExitStack()

    def __enter__(self) -> Self:
        """Begin."""
        if self._in_terminal:
            self._paused.enter_context(self._screen.waiting.paused())
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        self._bar.stop()
        self._paused.close()

    def show(self, update: Mapping[str, Any]) -> None:
        """Show a progress update; ignore what is not one of a process."""
        if "process_id" in update:
            self._screen.if_interrupted = watching_ends(update["process_id"])
        if self._screen.as_json or "process_id" not in update or "progress" not in update:
            return
        progress = update["progress"]
        if self._in_terminal:
            doing = progress.get("detail") or update.get("phase") or update["status"]
            self._bar.update(
                self._task,
                description=str(doing),
                completed=progress.get("image") or 0,
                total=progress.get("total_images"),
            )
            return
        line = state_line(update)
        if line != self._last:
            self._last = line
            self._screen.aside.print(line, markup=False)
