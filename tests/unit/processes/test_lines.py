from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from lorapod.processes.log import MAX_LINE_CHARACTERS, Line, LineSplitter


def read(chunks: list[bytes]) -> list[Line]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.finish())


def test_newlines_and_repaints_are_told_apart() -> None:
    assert read([b"one\ntwo\rthree\r\nfour"]) == [
        Line(text="one"),
        Line(text="two", repainted=True),
        Line(text="three"),
        Line(text="four"),
    ]


def test_a_carriage_return_at_a_chunks_end_waits_for_its_newline() -> None:
    assert read([b"one\r", b"\ntwo\n"]) == [Line(text="one"), Line(text="two")]


def test_a_quiet_stream_gives_up_its_repaint() -> None:
    splitter = LineSplitter()
    assert list(splitter.feed(b"50%\r")) == []
    assert list(splitter.pause()) == [Line(text="50%", repainted=True)]
    assert list(splitter.pause()) == []


def test_a_character_split_between_chunks_is_whole_again() -> None:
    data = "▌ 1/20\n".encode()
    assert read([data[:1], data[1:2], data[2:]]) == [Line(text="▌ 1/20")]


def test_broken_utf8_is_no_error() -> None:
    assert read([b"\xff\xfe\n"]) == [Line(text="\ufffd\ufffd")]


def test_a_line_without_end_is_cut() -> None:
    lines = read([b"x" * (MAX_LINE_CHARACTERS * 2 + 5)])
    assert [len(line.text) for line in lines] == [MAX_LINE_CHARACTERS, MAX_LINE_CHARACTERS, 5]


@given(st.text(alphabet="ab\r\n▌", max_size=60), st.lists(st.integers(0, 80), max_size=10))
def test_chunks_make_no_difference(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    chunks = [data[a:b] for a, b in itertools.pairwise(edges)]
    expected = re.split(r"\r\n|\r|\n", text)
    if expected[-1] == "":
        expected.pop()
    assert [line.text for line in read(chunks)] == expected
