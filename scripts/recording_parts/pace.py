"""The times of a recording as its picture shows them: long commands are sped up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from recording_parts.cast import Cast, CastEvent

#: Of a command's output, in seconds; longer ones are sped up to this.
_MOST_S = 7.0
#: Without any output, in seconds.
_MOST_IDLE_S = 1.2
#: To read what a command has shown, in seconds.
_BETWEEN_S = 1.4


def paced(cast: Cast) -> Sequence[CastEvent]:
    """Return the output with the times of the picture."""
    shown: list[CastEvent] = []
    now_s = 0.0
    for command in _by_command(cast.events):
        waits = [min(_MOST_IDLE_S, after.time_s - before.time_s) for before, after in pairwise(command)]
        # The time to type is the reader's: only what comes after the command's line is sped up.
        typed = next((number for number, event in enumerate(command) if event.text == "\r\n"), 0)
        share = min(1.0, _MOST_S / (sum(waits[typed:]) or 1.0))
        for number, event in enumerate(command):
            shown.append(replace(event, time_s=now_s))
            if number < len(waits):
                now_s += waits[number] * (share if number >= typed else 1.0)
        now_s += _BETWEEN_S
    return [event for event in shown if event.kind == "o"]


def _by_command(events: Sequence[CastEvent]) -> Sequence[Sequence[CastEvent]]:
    commands: list[list[CastEvent]] = [[]]
    for event in events:
        if event.kind == "m":
            commands.append([])
        commands[-1].append(event)
    return [command for command in commands if command]
