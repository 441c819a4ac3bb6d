"""What commands print: text for people, or JSON for scripts (`--json`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lorapod.client.commands.outage import OutageNotice
from lorapod.client.commands.waiting import PausingConsole, WaitingLine
from lorapod.client.commands.wording import with_commands
from lorapod.client.errors import LorapodError

#: Columns of an output that is no terminal: a program reads it line by line, so tables must not wrap there.
_PIPE_WIDTH = 1000

#: Between two columns.
_GAP = "  "

#: Columns of a terminal below which a column of text is not folded.
_FOLDED = 8

_UNITS = ("B", "kB", "MB", "GB", "TB")

STATUS_STYLES = {
    "completed": "green",
    "running": "cyan",
    "failed": "red",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "stopping": "yellow",
}


class Screen:
    """The terminal. Answers go to stdout; warnings and errors go to stderr, so that a pipe gets the answer alone."""

    def __init__(self, *, as_json: bool = False, context: typer.Context | None = None) -> None:
        """With `as_json`, print JSON only; warnings are in the words of the command in `context`."""
        self.as_json = as_json
        #: Shown while nothing else is.
        self.waiting = WaitingLine(enabled=draws(Console(stderr=True)))
        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        self.console: Console = PausingConsole(self.waiting, highlight=False, soft_wrap=True, width=width)
        # Sentences are folded between their words in a terminal, and whole in a log.
        self.aside: Console = PausingConsole(
            self.waiting, stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty()
        )
        self._context = context
        #: The text that is printed after Ctrl-C.
        self.if_interrupted = "Interrupted here; what was started on the worker continues."
        self._said: set[str] = set()
        self.outage = OutageNotice(lambda text: self.aside.print(f"[yellow]{escape(text)}[/]"))

    def answer(self, answer: Mapping[str, Any]) -> None:
        """Print an answer as JSON, in colours for people."""
        if self.as_json:
            self.console.out(json.dumps(answer, default=str), highlight=False)
        else:
            self.console.print_json(json.dumps(answer, default=str))

    def line(self, text: str) -> None:
        """Print a line for people; nothing with `--json`."""
        if not self.as_json:
            self.console.print(escape(text))

    def marked(self, mark: str, style: str, text: str) -> None:
        """Print a line whose beginning has a colour; nothing with `--json`."""
        if not self.as_json:
            self.console.print(f"[{style}]{escape(mark)}[/]{escape(text)}")

    def warn(self, warnings: Iterable[str]) -> None:
        """Print warnings to stderr, each once, with the command's options in place of the request's fields."""
        for warning in warnings:
            if warning not in self._said:
                self._said.add(warning)
                text = warning if self._context is None else with_commands(warning, self._context)
                self.aside.print(f"[yellow]warning:[/] {escape(text)}")

    def note(self, notes: Iterable[str]) -> None:
        """Print what was done beside the answer to stderr, each once."""
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                self.aside.print(escape(note))

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Iterable[int] = (),
        whole: Iterable[int] = (0,),
    ) -> None:
        """Print a table; nothing with `--json`. In a pipe each row is one line, whatever its length.

        Args:
            columns: their headings.
            rows: the texts of the cells.
            right: indexes of columns of numbers.
            whole: indexes of columns that are never folded: ids, paths, times. A terminal that is too narrow for them gets
                the lines of a pipe, which it wraps itself; columns without a text are left out there.
        """
        if self.as_json:
            return
        numbers, unfolded, rows = frozenset(right), frozenset(whole), list(rows)
        if self.console.is_terminal:
            filled = [index for index in range(len(columns)) if not rows or any(row[index] for row in rows)]
            numbers, unfolded = (
                frozenset(filled.index(index) for index in chosen if index in filled)
                for chosen in (numbers, unfolded)
            )
            columns = [columns[index] for index in filled]
            rows = [[row[index] for index in filled] for row in rows]
        widths = _widths([columns, *rows])
        needed = sum(
            width if index in unfolded else min(width, _FOLDED) for index, width in enumerate(widths)
        )
        if not self.console.is_terminal or needed + len(_GAP) * (len(widths) - 1) > self.console.width:
            for line in plain_table([columns, *rows], numbers):
                self.console.out(line, highlight=False)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, column in enumerate(columns):
            side: Literal["left", "right"] = "right" if index in numbers else "left"
            table.add_column(column, justify=side, overflow="fold", no_wrap=index in unfolded)
        for row in rows:
            table.add_row(*(styled(cell) for cell in row))
        self.console.print(table, soft_wrap=False)

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show in a terminal that something takes its time."""
        if not draws(self.aside):
            yield
            return
        with self.waiting.paused(), self.aside.status(escape(text)):
            yield

    def confirm(self, question: str, *, default: bool = False) -> bool:
        """Ask a question on stderr.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed instead.
        """
        try:
            with self.waiting.paused():
                return typer.confirm(question, default=default, err=True)
        except typer.Abort:
            raise KeyboardInterrupt from None

    def error(self, error: LorapodError) -> None:
        """Print an error: its message, each single problem, and what to do."""
        if self.as_json:
            fields = {
                "error": error.message,
                "code": error.code or "client_error",
                "hint": error.hint,
                "details": error.details,
            }
            self.console.out(
                json.dumps({name: value for name, value in fields.items() if value}), highlight=False
            )
            return
        message, problems = error.message, [_problem(detail) for detail in error.details]
        if problems and error.details[0].get("error") and problems[0] in message:
            # The message is made of its details: do not say them twice.
            message = f"The request has {len(problems)} problems:" if len(problems) > 1 else message
            problems = problems if len(problems) > 1 else []
        self.aside.print(f"[red]{escape(message)}[/]")
        for problem in problems:
            self.aside.print(f"  {escape(problem)}")
        if error.hint:
            self.aside.print(f"[dim]{escape(error.hint)}[/]")


def _problem(detail: Mapping[str, Any]) -> str:
    """Return one problem as a line: what it is about, and what is wrong with it."""
    about = detail.get("field") or detail.get("filename") or detail.get("path")
    error = detail.get("error")
    if error is None:
        return " ".join(str(value) for value in detail.values())
    return str(error) if about is None else f"{about}: {str(error).removeprefix(f'{about}: ')}"


def is_interactive() -> bool:
    """Return whether there is a person to ask."""
    return sys.stdin.isatty()


def draws(console: Console) -> bool:
    """Return whether lines of a console can be drawn over: it is a terminal, and not a dumb one."""
    return console.is_terminal and not console.is_dumb_terminal


def plain_table(rows: Sequence[Sequence[str]], right: Collection[int]) -> Iterator[str]:
    """Yield rows as lines of columns, two spaces apart; a line break in a cell becomes a space."""
    cells = [[" ".join(cell.splitlines()) for cell in row] for row in rows]
    widths = _widths(cells)
    for row in cells:
        padded = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - cell_len(cell))
            padded.append(f"{room}{cell}" if index in right else f"{cell}{room}")
        yield _GAP.join(padded).rstrip()


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def styled(text: str) -> str:
    """Return a cell's text as markup; each status has its colour."""
    style = STATUS_STYLES.get(text)
    return escape(text) if style is None else f"[{style}]{text}[/]"


def size(size_bytes: float) -> str:
    """Return a size for people, for example `2.5 MB` (powers of 1000)."""
    for unit in _UNITS[:-1]:
        if abs(size_bytes) < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} {_UNITS[-1]}"


def moment(at: str) -> str:
    """Return an answer's time for people, to the second, for example `2026-01-31 18:05:59`; it is UTC."""
    return at[:19].replace("T", " ")


def duration(seconds: float | None) -> str:
    """Return a duration for people, for example `1 h 02 min`; empty if it is unknown."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
