from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.datasets.library_bench import packed, picture

from lorapod.datasets.names import plain_names
from lorapod.workspace import safe_name


def names(*paths: str) -> list[str]:
    return [name.stem + name.suffix for name in plain_names(paths)]


def test_a_caption_keeps_its_picture() -> None:
    assert names("a/1.png", "a/1.txt", "b/1.png", "b/1.txt") == ["1.png", "1.txt", "1_2.png", "1_2.txt"]
    assert names("a/1.png", "b/1.png", "b/1.txt") == ["1.png", "1_2.png", "1_2.txt"]


def test_names_made_plain() -> None:
    assert names("/x/.hidden.png", "/x/a b%.PNG", "/x/???", "/x/-rf.txt", "/") == [
        "hidden.png",
        "a b_.png",
        "file",
        "rf.txt",
        "file_2",
    ]


@given(st.lists(st.text(max_size=80), max_size=20))
def test_any_paths_become_names_that_differ(paths: list[str]) -> None:
    made = names(*paths)
    assert len({name.lower() for name in made}) == len(paths)
    for name in made:
        safe_name(name, field="name")


@pytest.mark.parametrize(
    ("path", "content", "name"),
    [
        ("a.png", picture("WEBP"), "a.webp"),
        ("a.jpeg", picture("JPEG"), "a.jpeg"),
        ("download", picture("JPEG"), "download.jpg"),
        ("download", packed({"a.txt": b"x"}), "download.zip"),
        ("a.png", b"text", "a.png"),
        ("a.txt", picture(), "a.txt"),
        ("page", b"<html>", "page"),
    ],
)
def test_pictures_are_named_after_their_content(tmp_path: Path, path: str, content: bytes, name: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert plain_names([path])[0].of(tmp_path / "file") == name
