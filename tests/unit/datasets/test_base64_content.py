from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.datasets import base64_content
from lorapod.errors import InvalidInput


def decode(text: str) -> bytes:
    return b"".join(base64_content.decoded(text, name="a.png"))


@pytest.fixture(params=[4, 8, 1 << 18])
def piece_characters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base64_content, "_PIECE_CHARACTERS", request.param)


@pytest.mark.usefixtures("piece_characters")
@pytest.mark.parametrize("size", [*range(20), 1000])
def test_what_was_encoded_comes_back(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    text = base64.b64encode(data).decode()
    assert decode(text) == data
    assert decode(f"data:image/png;base64,{text}") == data
    assert decode(f"DATA:text/plain;charset=utf-8;base64,{text}") == data
    assert size <= base64_content.decoded_size_bytes(text) <= size + 2


@pytest.mark.usefixtures("piece_characters")
def test_lines_are_joined() -> None:
    data = bytes(range(256)) * 3
    assert decode(base64.encodebytes(data).decode()) == data
    assert decode("\r\n".join(base64.b64encode(data).decode())) == data


@pytest.mark.usefixtures("piece_characters")
@pytest.mark.parametrize(
    "text",
    ["a", "ab", "abc", "abc=d", "ab==cd==", "ab==cdef", "a===", "====", "YWJj!", "YWJjZA==YQ", "_-8=", "YW\0j", "YWé=", "Y W=", "\ud800abc"],
)  # fmt: skip
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        decode(text)


@pytest.mark.parametrize("text", ["data:image/png,abc", "data:;base64abc", "data:", "data:" + "x" * 10_000])
def test_a_data_uri_without_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="data URI"):
        decode(text)


@given(
    st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 300), st.sampled_from(" \t\r\n")), max_size=9)
)
def test_white_space_anywhere_changes_nothing(data: bytes, spaces: list[tuple[int, str]]) -> None:
    text = base64.b64encode(data).decode()
    for place, space in spaces:
        text = text[: place % (len(text) + 1)] + space + text[place % (len(text) + 1) :]
    assert decode(text) == data


@given(st.text(st.sampled_from("abAB01+/=- \n"), max_size=40))
def test_agrees_with_the_strict_decoder(text: str) -> None:
    bare = text.translate({ord(" "): None, ord("\n"): None})
    try:
        expected: bytes | None = base64.b64decode(bare, validate=True)
    except ValueError:
        expected = None
    if expected is None or len(bare) % 4:  # Python lets `0000=` pass
        with pytest.raises(InvalidInput):
            decode(text)
    else:
        assert decode(text) == expected
