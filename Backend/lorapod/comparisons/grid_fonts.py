"""Fonts for the labels of a grid: the system's, for prompts in every alphabet; else Pillow's own, which has only ASCII."""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from PIL import ImageFont

SIZE_PX = 15
#: Files that Pillow looks for in the system's font folders, the widest alphabets last.
_FILES = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "NotoSansCJK-Regular.ttc")
#: A character that no font has: what is drawn for it stands for every missing one.
_MISSING = "\U000e0fff"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def font_for(text: str) -> tuple[Font, str]:
    """Return a font, and the text as it can draw it: characters that no font has lose their accents, or become `?`."""
    for font in _fonts():
        if all(_has(font, character) for character in set(text)):
            return font, text
    font = _fonts()[0]
    return font, "".join(_drawable(font, character) for character in text)


@cache
def _fonts() -> tuple[Font, ...]:
    return (*_found(), ImageFont.load_default(SIZE_PX))


def _found() -> Iterator[Font]:
    # matplotlib is not imported: it only brings a font along.
    spec = importlib.util.find_spec("matplotlib")
    beside = Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf" if spec and spec.origin else None
    for name in (*_FILES, *([str(beside)] if beside else ())):
        with suppress(OSError):
            yield ImageFont.truetype(name, SIZE_PX)


def _drawable(font: Font, character: str) -> str:
    if _has(font, character):
        return character
    plain = unicodedata.normalize("NFKD", character)[0]
    return plain if plain != character and _has(font, plain) else "?"


@cache
def _has(font: Font, character: str) -> bool:
    return character.isascii() or bytes(font.getmask(character)) != bytes(font.getmask(_MISSING))
