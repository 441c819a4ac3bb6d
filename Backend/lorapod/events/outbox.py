"""The events of one process on the disk, and how far each sink has delivered them.

```
processes/<process_id>/events/<generation>.<number>.jsonl   parts, see `outbox_part.py`; sorted by name they are in order
processes/<process_id>/events/<sink>.json                   the position of a sink
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import replace_file
from lorapod.events.models import Event
from lorapod.events.outbox_part import SUFFIX, OutboxPart, PartHeader, parse, read_header, read_lines
from lorapod.folders import entries_of
from lorapod.workspace import Workspace

FOLDER = "events"

_ALL = 1 << 62
_PART = re.compile(rf"(?P<generation>\d{{6}})\.(?P<number>\d{{4,}}){re.escape(SUFFIX)}")
_POSITION = ".json"


@dataclass(frozen=True, kw_only=True, order=True)
class Position:
    """A place in an outbox: after so many bytes of a part; the beginning if the part's name is empty."""

    part: str = ""
    offset: int = 0
    #: Whether the event before it is the last of its run.
    ended: bool = False


@dataclass(frozen=True, kw_only=True)
class OutboxPage:
    """Events that follow a position, each with the position after it."""

    events: Sequence[tuple[Event, Position]]
    #: The position after everything that was read, lines that this worker cannot read included.
    end: Position
    #: The name of the newest part; empty if there is no part.
    newest: str


@cache
def _adapter() -> TypeAdapter[Position]:
    return TypeAdapter(Position)


class Outbox:
    """The events of one process. Reads the disk each time; safe for any thread.

    Every method raises `OSError` if the disk or the volume does not answer.
    """

    def __init__(self, workspace: Workspace, process_id: str) -> None:
        """Read and make nothing yet."""
        self.process_id = process_id
        self.folder = workspace.process_folder(process_id) / FOLDER

    def begin(self, generation: int) -> OutboxPart:
        """Start a new part, which only this worker writes, after every part of this and earlier runs.

        Raises:
            OSError: the disk is full or not writable.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            parts = self._parts()
            numbers = [int(name.split(".")[1]) for name in parts if name.startswith(f"{generation:06d}.")]
            name = f"{generation:06d}.{max(numbers, default=-1) + 1:04d}{SUFFIX}"
            previous = max((other for other in parts if other < name), default=None)
            header = PartHeader(
                previous=previous, previous_bytes=self._complete_bytes(previous) if previous else 0
            )
            with suppress(FileExistsError):
                return OutboxPart(self.folder / name, header)

    def read(self, position: Position, limit: int) -> OutboxPage:
        """Return the events of the next `limit` lines after a position."""
        parts = self._parts()
        events: list[tuple[Event, Position]] = []
        end, lines_left = position, limit
        for name, until in self._bounds(parts):
            if name < position.part:
                continue
            offset = position.offset if name == position.part else 0
            for line, after in read_lines(self.folder / name, offset, until=until, limit=lines_left):
                lines_left -= 1
                event = parse(line, self.folder / name)
                end = Position(part=name, offset=after, ended=event is not None and event.event_type.last)
                if event is not None:
                    events.append((event, end))
        return OutboxPage(events=events, end=end, newest=parts[-1] if parts else "")

    def history(self) -> Iterator[Event]:
        """Yield every event, oldest first."""
        for name, until in self._bounds(self._parts()):
            for line, _ in read_lines(self.folder / name, 0, until=until, limit=_ALL):
                if (event := parse(line, self.folder / name)) is not None:
                    yield event

    def last_part(self) -> Sequence[Event]:
        """Return the events of the newest part."""
        newest = Position(part=self.newest())
        return [event for event, _ in self.read(newest, _ALL).events]

    def count(self, position: Position) -> int:
        """Return how many events follow a position."""
        return sum(
            len(
                read_lines(
                    self.folder / name,
                    position.offset if name == position.part else 0,
                    until=until,
                    limit=_ALL,
                )
            )
            for name, until in self._bounds(self._parts())
            if name >= position.part
        )

    def newest(self) -> str:
        """Return the name of the newest part; empty if there is no part."""
        return (self._parts() or [""])[-1]

    def delivered(self, sink: str) -> Position | None:
        """Return the position of a sink; None if it has none, or it is damaged."""
        try:
            return _adapter().validate_json((self.folder / f"{sink}{_POSITION}").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def keep_delivered(self, sink: str, position: Position) -> None:
        """Store the position of a sink. If a power cut loses it, events are delivered twice.

        Raises:
            OSError: the disk is full or not writable.
        """
        replace_file(self.folder / f"{sink}{_POSITION}", _adapter().dump_json(position))

    def sinks(self) -> Sequence[str]:
        """Return the names of the sinks that have a position here."""
        names = (entry.name for entry in entries_of(self.folder))
        return [name.removesuffix(_POSITION) for name in names if _is_position(name)]

    def _parts(self) -> list[str]:
        return [entry.name for entry in entries_of(self.folder) if _PART.fullmatch(entry.name)]

    def _bounds(self, parts: Sequence[str]) -> Iterator[tuple[str, int | None]]:
        """Yield every part with the number of its bytes that count; None: all."""
        headers = {name: read_header(self.folder / name) for name in parts}
        cuts = {header.previous: header.previous_bytes for header in headers.values() if header is not None}
        for name in parts:
            if headers[name] is not None:
                yield name, cuts.get(name)

    def _complete_bytes(self, name: str) -> int:
        """Return the size of a part up to its last complete line."""
        content = (self.folder / name).read_bytes()
        return content.rfind(b"\n") + 1


def _is_position(name: str) -> bool:
    return name.endswith(_POSITION) and not name.startswith(".")
