from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from lorapod.client.demo_comparison import told_of
from lorapod.client.demo_console import command_to_open, stays_open
from lorapod.client.demo_recipe import OWN_SCORES_ENVIRONMENT


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("wanted", "at_terminal", "environment", "stays"),
    [
        (None, (True, True), {}, True),
        (None, (True, False), {}, False),
        (None, (False, True), {}, False),
        (None, (True, True), {"CI": "true"}, False),
        (True, (False, False), {"CI": "true"}, True),
        (False, (True, True), {}, False),
    ],
)
def test_the_console_stays_open_only_if_a_person_can_close_it(
    *, wanted: bool | None, at_terminal: tuple[bool, bool], environment: dict[str, str], stays: bool
) -> None:
    reads, writes = (Terminal() if one else io.StringIO() for one in at_terminal)
    assert stays_open(wanted=wanted, streams=(reads, writes), environment=environment) is stays


def test_the_command_that_opens_the_console_again_can_be_typed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    assert command_to_open(tmp_path / "my demo" / "workspace") == (
        ".venv/bin/lorapod console --open --workspace 'my demo/workspace'"
    )
    assert command_to_open(Path("/elsewhere")).endswith(" --workspace /elsewhere")


def test_what_a_comparison_found_is_told_with_its_models_and_reasons() -> None:
    answer: dict[str, Any] = {
        "score_models": [
            {"scores": ["likeness", "drift"], "model": OWN_SCORES_ENVIRONMENT["EMBEDDING_MODEL"]},
            {"scores": ["prompt_fit"], "model": "someone/clip"},
        ],
        "recommended": {"step": 80},
        "ranking": [
            {
                "step": 80,
                "place": 1,
                "score": 0.512,
                "reasons": ["most like the dataset", "follows the prompts"],
            },
            {"step": 40, "place": 2, "score": 0.2, "reasons": []},
        ],
        "warnings": ["The ranking does not count prompt_fit."],
    }
    assert told_of(answer) == [
        "embedding model: the demo's own, trained on drawn scenes (models/demo_recogniser)",
        "text-image model: someone/clip",
        "recommended: step 80",
        "1. step 80, score 0.51: most like the dataset; follows the prompts",
        "2. step 40, score 0.20: in the middle",
        "The ranking does not count prompt_fit.",
    ]


def test_without_scores_the_reason_is_told() -> None:
    assert told_of({"warnings": ["The cells have no scores."]}) == ["The cells have no scores."]
