"""Tokens are counted as the text encoder's own library counts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tiny_tokenizers import TEXT, make_clip, make_qwen, make_t5

from lorapod.datasets.gallery.tokenizer import TokenizerUnusable, is_tokenizer, open_tokenizer

CAPTIONS = [
    *TEXT,
    "",
    "  MyCat,\n\tsitting   on THE sofa!! ",
    "it's 2024-01-31; don't (worry:1.5) <lora:x:0.8> \u00a9\ufe0f e\u0301",
    "\U0001f408\u200d\u2b1b \u65e5\u672c\u8a9e \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "word " * 300,
]


@pytest.mark.torch
@pytest.mark.parametrize(("make", "kind"), [(make_clip, "CLIPTokenizer"), (make_qwen, "Qwen2Tokenizer")])
def test_two_files_are_counted_with_as_transformers_does(
    tmp_path: Path, make: Callable[[Path], Path], kind: str
) -> None:
    import transformers

    folder = make(tmp_path / "tokenizer")
    reference = getattr(transformers, kind).from_pretrained(folder)

    counting = open_tokenizer(folder, name="x/tokenizer", limit=77)

    assert [counting.count(text) for text in CAPTIONS] == [
        len(reference(text).input_ids) for text in CAPTIONS
    ]


def test_a_whole_file_is_counted_with_and_its_own_limit_is_not_followed(tmp_path: Path) -> None:
    counting = open_tokenizer(make_t5(tmp_path / "tokenizer_2"), name="x", limit=512)

    assert [counting.count("a photo of"), counting.count("a" + " a" * 599), counting.count("")] == [4, 601, 1]


def test_a_tokenizer_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    folder = make_clip(tmp_path / "tokenizer")
    with_clip = open_tokenizer(folder, name="x", limit=77).count("a a")
    make_t5(folder)

    assert (with_clip, open_tokenizer(folder, name="x", limit=77).count("a a")) == (4, 3)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"tokenizer.json": "{"}, "cannot be read"),
        ({"tokenizer.json": '{"model": {"type": "None"}}'}, "cannot be read"),
        ({"tokenizer.json": "\0"}, "cannot be read"),
        (
            {
                "vocab.json": "[]",
                "merges.txt": "",
                "tokenizer_config.json": '{"tokenizer_class": "CLIPTokenizer"}',
            },
            "cannot be",
        ),
        (
            {
                "vocab.json": "{}",
                "merges.txt": "",
                "tokenizer_config.json": '{"tokenizer_class": "CLIPTokenizer"}',
            },
            "cannot be",
        ),
        ({"vocab.json": "{}", "merges.txt": "", "tokenizer_config.json": "[1]"}, "unknown"),
        (
            {"vocab.json": "{}", "merges.txt": "", "tokenizer_config.json": '{"tokenizer_class": "Sage"}'},
            "Sage",
        ),
    ],
)
def test_a_damaged_one_is_a_sentence(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert is_tokenizer(tmp_path)

    with pytest.raises(TokenizerUnusable, match=reason):
        open_tokenizer(tmp_path, name="x/tokenizer", limit=77)


def test_folders_of_other_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"x")
    assert not is_tokenizer(tmp_path)
    assert not is_tokenizer(tmp_path / "missing")
