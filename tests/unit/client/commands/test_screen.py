from __future__ import annotations

import io
import json

import pytest
from rich.cells import cell_len
from rich.console import Console

from lorapod.client import LorapodError
from lorapod.client.commands.screen import Screen, duration, size


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500_000, "1.5 MB"),
        (2e9, "2.0 GB"),
        (3e15, "3000.0 TB"),
    ],
)
def test_a_size_is_read_by_people(size_bytes: float, shown: str) -> None:
    assert size(size_bytes) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0, "0 s"),
        (59.4, "59 s"),
        (61, "1 min 01 s"),
        (3600, "1 h 00 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_a_time_is_read_by_people(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


class TestErrors:
    ERROR = LorapodError(
        "No such preset.", code="invalid_input", hint="Try sd15.", details=[{"field": "preset"}]
    )

    def test_a_person_reads_a_sentence_beside_the_answer(self, capsys: pytest.CaptureFixture[str]) -> None:
        Screen().error(self.ERROR)

        told = capsys.readouterr()
        assert not told.out
        assert told.err.splitlines() == ["No such preset.", "  preset", "Try sd15."]

    def test_a_script_reads_one_object(self, capsys: pytest.CaptureFixture[str]) -> None:
        Screen(as_json=True).error(self.ERROR)

        assert json.loads(capsys.readouterr().out) == {
            "error": "No such preset.",
            "code": "invalid_input",
            "hint": "Try sd15.",
            "details": [{"field": "preset"}],
        }


def test_a_script_gets_the_answer_alone(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)
    screen.line("for people")
    screen.answer({"a": "[bold]x[/]", "b": None})

    assert json.loads(capsys.readouterr().out) == {"a": "[bold]x[/]", "b": None}


class TestTables:
    COLUMNS = ("process", "name", "created")
    ROWS = (
        ("train_0123456789ab", "кошка " * 12, "2026-01-31 18:05:59"),
        ("compare_0123456789ab", "two\nlines", "2026-01-31 18:06:00"),
    )

    def drawn(self, width: int, *, terminal: bool) -> list[str]:
        screen = Screen()
        screen.console = Console(
            file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, soft_wrap=True
        )
        screen.table(self.COLUMNS, self.ROWS, whole=(0, 2))
        assert isinstance(screen.console.file, io.StringIO)
        return screen.console.file.getvalue().splitlines()

    @pytest.mark.parametrize("width", [20, 80, 1000])
    def test_in_a_pipe_each_row_is_one_plain_line(self, width: int) -> None:
        lines = self.drawn(width, terminal=False)

        assert len(lines) == 3
        assert all(line == line.rstrip() for line in lines)
        assert "two lines" in lines[2]
        # The columns stand below each other, wide letters or not.
        assert len({line.index("2026") for line in lines[1:]}) == 1

    @pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
    def test_in_a_terminal_an_id_and_a_time_are_never_folded_or_cut(self, width: int) -> None:
        text = "\n".join(self.drawn(width, terminal=True))

        for row in self.ROWS:
            assert row[0] in text
            assert row[2] in text

    def test_in_a_terminal_a_long_text_is_folded(self) -> None:
        lines = self.drawn(80, terminal=True)

        assert len(lines) > 3
        assert max(map(cell_len, lines)) <= 80

    def test_an_empty_table_has_its_headings(self, capsys: pytest.CaptureFixture[str]) -> None:
        Screen().table(("process", "name"), [])

        assert capsys.readouterr().out == "process  name\n"
