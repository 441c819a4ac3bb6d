"""What models are asked."""

from __future__ import annotations

import pytest

from lorapod.captioners.prompts import CaptionStyle, fill_prompt, usual_prompt, usual_style
from lorapod.errors import InvalidInput


@pytest.mark.parametrize(
    ("arch", "style"),
    [
        (None, CaptionStyle.NATURAL),
        ("flux", CaptionStyle.NATURAL),
        ("wan21:14b", CaptionStyle.NATURAL),
        ("sdxl", CaptionStyle.TAGS),
        ("SD1", CaptionStyle.TAGS),
        ("sd3", CaptionStyle.NATURAL),
    ],
)
def test_the_style_suits_the_model_that_will_be_trained(arch: str | None, style: CaptionStyle) -> None:
    assert usual_style(arch) is style


def test_the_prompt_suits_it_too() -> None:
    def prompt(arch: str | None, trigger_word: str | None = None) -> str:
        return usual_prompt(CaptionStyle.NATURAL, arch, trigger_word=trigger_word)

    assert "45 words" in prompt("sdxl")
    assert "45 words" not in prompt("flux")
    assert "camera moves" in prompt("wan21")
    assert "{trigger_word}" not in prompt("flux")
    assert "'ohwx'" in fill_prompt(prompt("flux", "ohwx"), trigger_word="ohwx")


def test_a_prompt_that_asks_for_a_trigger_word_needs_one() -> None:
    with pytest.raises(InvalidInput, match="trigger_word"):
        fill_prompt("a photo of {trigger_word}", trigger_word=None)
    assert fill_prompt('{"json": "{trigger_word}"}', trigger_word="ohwx") == '{"json": "ohwx"}'
