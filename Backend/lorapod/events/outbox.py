"""The events of one process on the disk, and how far each sink has come with them.

```
processes/<process_id>/events/<generation>.<number>.jsonl   parts, see `part.py`; sorted by name they are in order
processes/<process_id>/events/<sink>.json                   how far a sink has come
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import replace_file
from lorapod.events.models import Event
from lorapod.events.outbox_part import SUFFIX, OutboxPart, PartHeader, parse, read_header, read_lines
from lorapod.workspace import Workspace

FOLDER = "events"

_ALL = 1 << 62


@dataclass(frozen=True, kw_only=True, order=True)
class Position:
    """A place in an outbox: behind so many bytes of a part; the beginning, where the part is empty."""

    part: str = ""
    offset: int = 0
    #: Whether the event before it is the last of its run.
    ended: bool = False


@dataclass(frozen=True, kw_only=True)
class Page:
    """Events from a position on, each with the position behind it."""

    events: Sequence[tuple[Event, Position]]
    #: The newest part's name; the empty text where there is none.
    newest: str


@cache
def _adapter() -> TypeAdapter[Position]:
    return TypeAdapter(Position)


class Outbox:
    """What there is to tell of one process. Reads the disk each time; safe for any thread."""

    def __init__(self, workspace: Workspace, process_id: str) -> None:
        """Nothing is read or made yet."""
        self.process_id = process_id
        self.folder = workspace.process_folder(process_id) / FOLDER

    def begin(self, generation: int) -> OutboxPart:
        """Begin a part of this worker's own, behind all that counts so far.

        Raises:
            OSError: the disk is full or not writable.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            before = self._parts()
            previous = before[-1] if before else None
            number = sum(name.startswith(f"{generation:06d}.") for name in before)
            header = PartHeader(
                previous=previous,
                previous_bytes=self._whole_bytes(previous) if previous else 0,
            )
            with suppress(FileExistsError):
                return OutboxPart(self.folder / f"{generation:06d}.{number:04d}{SUFFIX}", header)

    def read(self, position: Position, limit: int) -> Page:
        """Up to `limit` events that follow a position.

        Raises:
            OSError: the disk failed.
        """
        parts = self._parts()
        events: list[tuple[Event, Position]] = []
        for name, until in self._bounds(parts):
            if name < position.part or len(events) >= limit:
                continue
            offset = position.offset if name == position.part else 0
            for line, behind in read_lines(
                self.folder / name, offset, until=until, limit=limit - len(events)
            ):
                if (event := parse(line, self.folder / name)) is not None:
                    events.append((event, Position(part=name, offset=behind, ended=event.event_type.last)))
        return Page(events=events, newest=parts[-1] if parts else "")

    def history(self) -> Iterator[Event]:
        """Every event, oldest first."""
        for name, until in self._bounds(self._parts()):
            for line, _ in read_lines(self.folder / name, 0, until=until, limit=_ALL):
                if (event := parse(line, self.folder / name)) is not None:
                    yield event

    def last_part(self) -> Sequence[Event]:
        """The events of the newest part."""
        newest = Position(part=self.newest())
        return [event for event, _ in self.read(newest, _ALL).events]

    def count(self, position: Position) -> int:
        """How many events follow a position."""
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
        """The name of the newest part; the empty text where there is none."""
        return (self._parts() or [""])[-1]

    def delivered(self, sink: str) -> Position | None:
        """How far a sink has come; None where it never had anything to do with the process, or nobody knows."""
        try:
            return _adapter().validate_json((self.folder / f"{sink}.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def keep_delivered(self, sink: str, position: Position) -> None:
        """Keep how far a sink has come. What a power cut takes of it is delivered twice.

        Raises:
            OSError: the disk is full or not writable.
        """
        replace_file(self.folder / f"{sink}.json", _adapter().dump_json(position))

    def sinks(self) -> Sequence[str]:
        """The sinks that have something to do with the process."""
        return sorted(path.stem for path in self.folder.glob("[!.]*.json"))

    def _parts(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob(f"[!.]*{SUFFIX}"))

    def _bounds(self, parts: Sequence[str]) -> Iterator[tuple[str, int | None]]:
        """Every part with the bytes of it that count; None: all."""
        headers = {name: read_header(self.folder / name) for name in parts}
        cuts = {header.previous: header.previous_bytes for header in headers.values() if header is not None}
        for name in parts:
            if headers[name] is not None:
                yield name, cuts.get(name)

    def _whole_bytes(self, name: str) -> int:
        """The bytes of a part up to its last whole line."""
        content = (self.folder / name).read_bytes()
        return content.rfind(b"\n") + 1
