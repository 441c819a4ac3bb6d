"""A recording of a terminal in asciinema's format: asciicast version 2, https://docs.asciinema.org/manual/asciicast/v2/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

#: What came out, or a mark where a command begins.
EventKind = Literal["o", "m"]


@dataclass(frozen=True, kw_only=True)
class CastEvent:
    """What a terminal showed at a time."""

    time_s: float
    kind: EventKind
    text: str


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A whole recording."""

    width: int
    height: int
    title: str
    events: Sequence[CastEvent]

    @property
    def commands(self) -> Sequence[str]:
        """The commands, in their order."""
        return [event.text for event in self.events if event.kind == "m"]

    def write(self, path: Path) -> None:
        """Write it to a file that asciinema plays."""
        header = {"version": 2, "width": self.width, "height": self.height, "title": self.title}
        lines = [json.dumps(header)]
        lines += [
            json.dumps([round(event.time_s, 3), event.kind, event.text], ensure_ascii=False)
            for event in self.events
        ]
        path.write_text("\n".join(lines) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` has written."""
        header, *events = map(json.loads, path.read_text("utf-8").strip().split("\n"))
        return cls(
            width=header["width"],
            height=header["height"],
            title=header["title"],
            events=[CastEvent(time_s=time_s, kind=kind, text=text) for time_s, kind, text in events],
        )
