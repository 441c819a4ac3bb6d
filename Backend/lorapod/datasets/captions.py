"""Captions: text files beside images, with the same name but for the suffix."""

from __future__ import annotations

import re
from pathlib import Path

from lorapod.errors import InvalidInput, TooLarge

#: Size of the longest caption; trainers use the first few hundred words at most.
CAPTION_MAX_BYTES = 1_000_000

#: AI Toolkit replaces this by the trigger word.
PLACEHOLDER = "[trigger]"

_BYTE_ORDER_MARK = "\ufeff"


def read_caption(path: Path, *, name: str) -> str:
    """Return the caption at `path`, without a byte order mark.

    Raises:
        InvalidInput: it is not UTF-8, or contains NUL bytes.
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
        raise InvalidInput(f"{name} is not text: it contains NUL bytes.")
    return text.removeprefix(_BYTE_ORDER_MARK)


def check_caption(path: Path, *, name: str) -> None:
    """Check that the caption at `path` is UTF-8, as trainers read it; remove a byte order mark.

    Raises:
        InvalidInput, TooLarge: as `read_caption`.
    """
    text = read_caption(path, name=name).encode()
    if path.stat().st_size != len(text):
        path.write_bytes(text)


def with_trigger(caption: str, trigger_word: str) -> str:
    """Return the caption with the trigger word in front, unless it already has the word or the placeholder for it."""
    if PLACEHOLDER in caption or re.search(rf"(?<!\w){re.escape(trigger_word)}(?!\w)", caption):
        return caption
    bare = caption.strip()
    return f"{trigger_word}, {bare}" if bare else trigger_word
