from __future__ import annotations

import io

from lorapod.client.commands.waiting import PausingConsole, WaitingLine


def line(quiet_s: float = 0.0) -> tuple[WaitingLine, list[str]]:
    written: list[str] = []
    return WaitingLine(enabled=False, quiet_s=quiet_s, write=written.append), written


def test_a_long_wait_is_said_and_erased() -> None:
    waiting, written = line()

    with waiting:
        waiting.draw()

    assert "waiting for an answer, 0 s" in written[0]
    assert written[1:] == ["\r\x1b[2K"]


def test_a_short_wait_needs_no_words() -> None:
    waiting, written = line(quiet_s=3600.0)

    with waiting:
        waiting.draw()

    assert written == []


def test_what_is_printed_erases_it_first() -> None:
    waiting, written = line()
    console = PausingConsole(waiting, file=io.StringIO())

    waiting.draw()
    console.print("an answer")
    console.out("another")

    assert written[1:] == ["\r\x1b[2K"]
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "an answer\nanother\n"


def test_a_bar_has_the_line_to_itself() -> None:
    waiting, written = line()

    with waiting.paused():
        with waiting.paused():
            waiting.draw()
        waiting.draw()

    assert written == []
