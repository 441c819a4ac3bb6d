from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from recording_parts.cast import Cast, CastEvent
from recording_parts.pace import paced
from recording_parts.picture import picture
from recording_parts.screen import screenplay
from recording_parts.session import CommandFailed, RecordedSession
from terminal_recording import COMMANDS, NAME, STEPS

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
_MOST_BYTES = 200_000


def cast_of(*events: tuple[float, str]) -> Cast:
    return Cast(
        width=20,
        height=3,
        title="a <recording>",
        events=[CastEvent(time_s=time_s, kind="o", text=text) for time_s, text in events],
    )


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    cast = Cast(
        width=80,
        height=24,
        title="é",
        events=[
            CastEvent(time_s=0.0, kind="m", text="lorapod ping"),
            CastEvent(time_s=0.5, kind="o", text="\x1b[1m✓\x1b[0m\r\n"),
        ],
    )
    cast.write(tmp_path / "one.cast")
    assert Cast.read(tmp_path / "one.cast") == cast
    assert cast.commands == ["lorapod ping"]


def test_a_line_that_is_written_over_has_a_version_for_each_time() -> None:
    play = screenplay(
        [
            CastEvent(time_s=0.0, kind="o", text="1 of 2"),
            CastEvent(time_s=1.0, kind="o", text="\r2 of 2\r\n\x1b[31mend\x1b[0m"),
        ],
        width=20,
        height=3,
    )
    shown = [(one.line, one.runs[0].text, one.from_s, one.to_s) for one in play.versions]
    assert shown == [(0, "1 of 2", 0.0, 1.0), (0, "2 of 2", 1.0, None), (1, "end", 1.0, None)]
    assert play.versions[-1].runs[0].colour == "red"


def test_the_picture_scrolls_when_the_terminal_is_full() -> None:
    play = screenplay(
        [CastEvent(time_s=float(number), kind="o", text=f"{number}\r\n") for number in range(4)],
        width=20,
        height=3,
    )
    assert [(one.time_s, one.top) for one in play.scrolls] == [(0.0, 0), (2.0, 1), (3.0, 2)]


def test_a_long_command_is_sped_up_and_typing_is_not() -> None:
    events = [
        CastEvent(time_s=0.0, kind="m", text="x"),
        CastEvent(time_s=0.0, kind="o", text="x"),
        CastEvent(time_s=1.0, kind="o", text="\r\n"),
        *(CastEvent(time_s=1.0 + number, kind="o", text=".") for number in range(1, 101)),
    ]
    times = [event.time_s for event in paced(Cast(width=9, height=3, title="", events=events))]
    assert times[1] == 1.0
    assert times[-1] == pytest.approx(8.0)


def test_the_picture_is_xml_without_scripts_and_shows_what_was_written() -> None:
    text = picture(cast_of((0.0, "<b>&\r\n"), (1.0, "\x1b[1;32mdone\x1b[0m")))
    root = ET.fromstring(text)  # noqa: S314 -- it was written here
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}tspan")]
    assert words == ["<b>&", "done"]
    assert root.find(".//{http://www.w3.org/2000/svg}script") is None
    assert "prefers-reduced-motion" in text
    assert not re.search(r"href|url\(|@import", text)


def test_commands_are_run_in_a_terminal_of_the_recordings_size(tmp_path: Path) -> None:
    session = RecordedSession(folder=tmp_path, environment={"PATH": "/usr/bin:/bin"}, width=71, height=9)
    program = "import os, sys; print(os.get_terminal_size(), sys.stdin.isatty(), 'ä')"
    shown = session.run("python look.py", [sys.executable, "-c", program])

    assert "columns=71, lines=9" in shown
    assert "True ä" in shown
    cast = session.cast("look")
    assert cast.commands == ["python look.py"]
    assert "ä" in "".join(event.text for event in cast.events)
    with pytest.raises(CommandFailed, match="no way"):
        session.run("fail", [sys.executable, "-c", "raise SystemExit('no way')"])


def test_the_picture_in_the_documentation_is_that_of_the_recording_beside_it() -> None:
    cast = Cast.read(PICTURES / f"{NAME}.cast")
    shown = (PICTURES / f"{NAME}.svg").read_text("utf-8")

    assert shown == picture(cast)
    assert len(shown.encode()) < _MOST_BYTES
    commands = [re.sub(r"train_[0-9a-f]{12}", "{process}", command) for command in cast.commands]
    assert commands == [command.format(steps=STEPS, process="{process}") for command in COMMANDS]
