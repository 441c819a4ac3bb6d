"""Captions: text files beside pictures, named as they are."""

from __future__ import annotations

import re
from pathlib import Path

from lorapod.errors import InvalidInput, TooLarge

#: Longest caption, in bytes; trainers use the first few hundred words at most.
CAPTION_MAX_BYTES = 1_000_000

#: What AI Toolkit replaces by the trigger word.
PLACEHOLDER = "[trigger]"

_BYTE_ORDER_MARK = "\ufeff"


def read_caption(path: Path, *, name: str) -> str:
    """The caption at `path`, without a byte order mark.

    Raises:
        InvalidInput: it is not UTF-8, or holds NUL bytes.
        TooLarge: it is longer than `CAPTION_MAX_BYTES`.
    """
    if (size_bytes := path.stat().st_size) > CAPTION_MAX_BYTES:
        raise TooLarge(f"{name} has {size_bytes} bytes; a caption has {CAPTION_MAX_BYTES} at most.")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{name} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8."
        ) from error
    if "\0" in text:
        raise InvalidInput(f"{name} is not text: it holds NUL bytes.")
    return text.removeprefix(_BYTE_ORDER_MARK)


def check_caption(path: Path, *, name: str) -> None:
    """Have the caption at `path` be plain UTF-8, as trainers read it; a byte order mark is taken off.

    Raises:
        InvalidInput, TooLarge: as `read_caption`.
    """
    text = read_caption(path, name=name).encode()
    if path.stat().st_size != len(text):
        path.write_bytes(text)


def with_trigger(caption: str, trigger_word: str) -> str:
    """The caption with the trigger word in front, unless it holds the word, or the placeholder for it, already."""
    if PLACEHOLDER in caption or re.search(rf"(?<!\w){re.escape(trigger_word)}(?!\w)", caption):
        return caption
    bare = caption.strip()
    return f"{trigger_word}, {bare}" if bare else trigger_word
