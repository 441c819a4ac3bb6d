"""Prompts without the trigger word."""

from __future__ import annotations

import pytest

from lorapod.comparisons.trigger import has_trigger, without_trigger


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("ohwx cat on a sofa", "cat on a sofa"),
        ("a photo of OHWX, on a beach", "a photo of, on a beach"),
        ("sofa, ohwx, cat", "sofa, cat"),
        ("ohwx", ""),
        ("an ohwxlike cat", "an ohwxlike cat"),
    ],
)
def test_the_trigger_word_is_taken_out(prompt: str, expected: str) -> None:
    assert without_trigger(prompt, "ohwx") == expected
    assert has_trigger(prompt, "ohwx") == (prompt != expected)


def test_without_a_trigger_word_every_prompt_names_what_was_learnt() -> None:
    assert has_trigger("a cat", None)
    assert without_trigger("a cat", None) == "a cat"
