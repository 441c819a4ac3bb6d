"""What the records said, and when: seen from outside, by reading the shared folder again and again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from lorapod.records.record import ProcessRecord
from lorapod.records.status import TRANSITIONS, ProcessStatus


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A record that was read; seconds of the monotonic clock."""

    at_s: float
    record: ProcessRecord


class History:
    """Every change of one process's record that was seen."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._changes: list[Sighting] = []

    @property
    def newest(self) -> ProcessRecord | None:
        """The record as last seen."""
        return self._changes[-1].record if self._changes else None

    def add(self, at_s: float, record: ProcessRecord) -> str | None:
        """Note a record; what is wrong with it after those before, if anything."""
        before = self.newest
        if before is not None and (before.generation, before.status) == (record.generation, record.status):
            return None
        self._changes.append(Sighting(at_s=at_s, record=record))
        if before is None:
            return None
        if record.generation < before.generation:
            return f"went back from generation {before.generation} to {record.generation}"
        if record.generation == before.generation and not path(before.status, record.status, resume=False):
            return f"went from {before.status} to {record.status} in generation {record.generation}"
        if not path(before.status, record.status, resume=True):
            return f"went from {before.status} to {record.status}"
        return None

    def allowed(self, from_s: float, to_s: float) -> set[ProcessStatus]:
        """The states in which an honest answer of that time may show the process.

        Those seen then, and those that it must, or may, have passed through between two looks.
        """
        inside = [place for place, seen in enumerate(self._changes) if from_s <= seen.at_s <= to_s]
        first = next(
            (place for place, seen in enumerate(self._changes) if seen.at_s > from_s), len(self._changes)
        )
        places = range(max(0, first - 1), max([first, *(place + 1 for place in inside)]) + 1)
        states = [self._changes[place].record.status for place in places if place < len(self._changes)]
        between = (path(one, other, resume=True) for one, other in pairwise(states))
        return set(states).union(*between)


def path(start: ProcessStatus, end: ProcessStatus, *, resume: bool) -> set[ProcessStatus]:
    """Every state on a shortest legal way from one to the other; empty where there is none."""
    ahead, behind = _distances(start, resume=resume), _distances(end, resume=resume, backwards=True)
    if end not in ahead:
        return set()
    return {state for state in ahead if state in behind and ahead[state] + behind[state] == ahead[end]}


def _distances(start: ProcessStatus, *, resume: bool, backwards: bool = False) -> dict[ProcessStatus, int]:
    edges = [
        (after, before) if backwards else (before, after)
        for before, followers in TRANSITIONS.items()
        for after in followers
        if (resume or after is not ProcessStatus.QUEUED)
        # Only a larger number of steps takes up a completed training; no caller here asks for one.
        and before is not ProcessStatus.COMPLETED
    ]
    far, waiting = {start: 0}, deque([start])
    while waiting:
        state = waiting.popleft()
        for one, other in edges:
            if one is state and other not in far:
                far[other] = far[state] + 1
                waiting.append(other)
    return far
