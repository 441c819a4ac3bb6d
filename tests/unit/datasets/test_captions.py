from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.datasets.captions import with_trigger


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("a man", "ohwx, a man"),
        ("  a man \n", "ohwx, a man"),
        ("", "ohwx"),
        ("ohwx", "ohwx"),
        ("a photo of ohwx.", "a photo of ohwx."),
        ("ohwxs", "ohwx, ohwxs"),
        ("[trigger] man", "[trigger] man"),
    ],
)
def test_trigger_word(caption: str, told: str) -> None:
    assert with_trigger(caption, "ohwx") == told


@given(st.text(max_size=40), st.text(min_size=1, max_size=8).filter(str.strip))
def test_twice_is_as_good_as_once(caption: str, trigger_word: str) -> None:
    once = with_trigger(caption, trigger_word)
    assert with_trigger(once, trigger_word) == once
