"""What a terminal shows over time: each version of each line, and how far the terminal has scrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyte

from recording_parts.cast import CastEvent

#: Lines that a recording may have; the screen never scrolls, the picture does.
_LINES: Final = 500
#: Frames come no faster, in seconds.
_FRAME_S: Final = 0.12


@dataclass(frozen=True, kw_only=True)
class Run:
    """Letters of one look."""

    column: int
    text: str
    colour: str = "default"
    bold: bool = False


@dataclass(kw_only=True)
class LineVersion:
    """What a line shows from one time to another."""

    line: int
    runs: Sequence[Run]
    from_s: float
    #: None: to the end.
    to_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Scroll:
    """From a time on, `top` is the first line."""

    time_s: float
    top: int


@dataclass(frozen=True, kw_only=True)
class Screenplay:
    """A whole recording."""

    width: int
    height: int
    versions: Sequence[LineVersion]
    scrolls: Sequence[Scroll]
    end_s: float


def screenplay(events: Sequence[CastEvent], *, width: int, height: int) -> Screenplay:
    """Return what a terminal of that size shows, if it gets the events' output at their times."""
    screen = pyte.Screen(width, _LINES)
    screen.set_mode(pyte.modes.LNM)
    stream = pyte.Stream(screen)
    versions: list[LineVersion] = []
    shown: dict[int, LineVersion] = {}
    scrolls = [Scroll(time_s=0.0, top=0)]
    for number, event in enumerate(events):
        stream.feed(event.text)
        after = events[number + 1].time_s if number + 1 < len(events) else None
        if after is not None and after - event.time_s < _FRAME_S and _same_frame(event.time_s, after):
            continue
        for line in sorted(screen.dirty):
            runs = _runs(screen, line)
            old = shown.get(line)
            if (old.runs if old else ()) == runs:
                continue
            if old is not None:
                old.to_s = event.time_s
            shown[line] = LineVersion(line=line, runs=runs, from_s=event.time_s)
            versions.append(shown[line])
        screen.dirty.clear()
        top = max(scrolls[-1].top, screen.cursor.y - height + 1)
        if top != scrolls[-1].top:
            scrolls.append(Scroll(time_s=event.time_s, top=top))
    return Screenplay(
        width=width,
        height=height,
        versions=[one for one in versions if one.runs],
        scrolls=scrolls,
        end_s=events[-1].time_s,
    )


def _same_frame(one_s: float, other_s: float) -> bool:
    return int(one_s / _FRAME_S) == int(other_s / _FRAME_S)


def _runs(screen: pyte.Screen, line: int) -> Sequence[Run]:
    """Return a line's letters, those of one look together; spaces at its end are left out."""
    cells = [screen.buffer[line][column] for column in range(screen.columns)]
    runs: list[Run] = []
    for column, cell in enumerate(cells):
        last = runs[-1] if runs else None
        if last is not None and (last.colour, last.bold) == (cell.fg, cell.bold):
            runs[-1] = Run(column=last.column, text=last.text + cell.data, colour=last.colour, bold=last.bold)
        elif cell.data != " ":
            runs.append(Run(column=column, text=cell.data, colour=cell.fg, bold=cell.bold))
    trimmed = [
        Run(column=run.column, text=run.text.rstrip(), colour=run.colour, bold=run.bold) for run in runs
    ]
    return [run for run in trimmed if run.text]
