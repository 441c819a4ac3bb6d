from __future__ import annotations

import json

import pytest

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
