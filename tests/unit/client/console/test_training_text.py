"""A training's request as YAML: what the page's text and its form make of each other."""

from __future__ import annotations

from typing import Any

import pytest

from lorapod.client.console.training_text import read, written


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"preset": "sdxl", "learning_rate": 1e-4, "variants": [{"rank": 8}, {"rank": 16}]},
        {"name": "yes", "trigger_word": "1234", "limits": {"until": "2026-11-30T12:00:00Z"}},
        {"sample_prompts": ["a: b", "<img src=x>", "שלום", "two\nlines", "# no comment"]},
    ],
)
def test_what_is_written_is_read_as_it_was(request_: dict[str, Any]) -> None:
    assert read(written(request_)) == {"request": request_}


def test_a_text_means_what_the_worker_reads() -> None:
    text = "learning_rate: 2e-4\nname: yes\ntrigger_word: 1234\nforce: yes\nlimits: {until: 2026-11-30T12:00:00Z}"

    assert read(text)["request"] == {
        "learning_rate": 2e-4,
        "name": "yes",
        "trigger_word": "1234",
        "force": True,
        "limits": {"until": "2026-11-30T12:00:00Z"},
    }


def test_a_whole_config_becomes_the_config_of_a_request() -> None:
    config = {"job": "extension", "config": {"name": "cat", "process": [{"type": "sd_trainer"}]}}

    assert read(written(config)) == {"request": {"config": config}}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("preset: [sdxl\nsteps: 3", 2, "expected"),
        ("steps: 1\nrank: 2\nsteps: 3", 3, "'steps' twice"),
        ("- steps", None, "a mapping of keys"),
        ("bomb: &a [" + "1," * 999 + "1]\nx: [" + "*a," * 99 + "*a]", None, "too many values"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(text: str, line: int | None, reason: str) -> None:
    found = read(text)

    assert found["problem"]["line"] == line
    assert reason in found["problem"]["reason"]
