from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.errors import InvalidInput, NotFound
from lorapod.files.parts import REPLY_OVERHEAD_BYTES, largest_part_bytes, read_part


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.bin").write_bytes(bytes(range(100)))
    return tmp_path / "a.bin"


@pytest.mark.parametrize(
    ("asked", "most", "span", "eof"),
    [
        ((0, None), 1000, (0, 100), "eof"),
        ((0, None), 40, (0, 40), ""),
        ((40, 10), 40, (40, 50), ""),
        ((40, 90), 40, (40, 80), ""),
        ((90, 90), 40, (90, 100), "eof"),
        ((100, None), 40, (100, 100), "eof"),
        ((0, 0), 40, (0, 0), ""),
    ],
)
def test_a_part_is_what_was_asked_for_as_far_as_it_fits(
    path: Path, asked: tuple[int, int | None], most: int, span: tuple[int, int], eof: str
) -> None:
    part = read_part(path, offset=asked[0], length=asked[1], most_bytes=most)
    assert part.data == bytes(range(*span))
    assert (part.offset, part.next_offset, part.size_bytes) == (*span, 100)
    assert part.eof is bool(eof)


def test_an_empty_file_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    part = read_part(tmp_path / "a", offset=0, length=None, most_bytes=10)
    assert part.eof
    assert part.data == b""


def test_what_cannot_be_read_is_told(path: Path) -> None:
    with pytest.raises(InvalidInput, match="beyond the end"):
        read_part(path, offset=101, length=None, most_bytes=10)
    with pytest.raises(InvalidInput, match="not a file"):
        read_part(path.parent, offset=0, length=None, most_bytes=10)
    with pytest.raises(NotFound):
        read_part(path.parent / "none", offset=0, length=None, most_bytes=10)
    with pytest.raises(NotFound):
        read_part(path / "below", offset=0, length=None, most_bytes=10)
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(InvalidInput, match="not a file"):
        read_part(path.parent / "pipe", offset=0, length=None, most_bytes=10)


@given(st.integers(1, 30_000_000))
def test_a_part_and_what_is_around_it_fit_the_reply(max_reply_bytes: int) -> None:
    most = largest_part_bytes(max_reply_bytes)
    assert most % 3 == 0
    assert most == 3 or most // 3 * 4 + REPLY_OVERHEAD_BYTES <= max_reply_bytes
