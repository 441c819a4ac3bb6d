"""Captions: text files beside images, with the same name but for the suffix."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from lorapod.errors import InvalidInput, TooLarge
from lorapod.safety.code_pages import TEXT_PAGES, likeliest_page
from lorapod.safety.content_kinds import PAGE_HINT, begins_a_web_page

#: Size of the longest caption; trainers use the first few hundred words at most.
CAPTION_MAX_BYTES = 1_000_000

#: AI Toolkit replaces this by the trigger word.
PLACEHOLDER = "[trigger]"

_BYTE_ORDER_MARK = "\ufeff"
#: UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PAGE_NAMES = {"cp1252": "Windows-1252", "cp1251": "Windows-1251", "cp932": "Shift JIS", "gbk": "GBK"}
#: Mean cost of a character above which bytes are hardly text of a code page.
_WORST_COST = 0.6


def checked_caption(text: str, *, name: str, most_bytes: int = CAPTION_MAX_BYTES) -> bytes:
    """Return a caption as UTF-8; uploads, tables and edits all ask here what may become one.

    Args:
        text: the caption.
        name: what an error calls it.
        most_bytes: the longest one that is taken.

    Raises:
        InvalidInput: it is not text, or a web page.
        TooLarge: it is too long.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{name} is not valid Unicode (character {error.start}).") from error
    if len(data) > most_bytes:
        raise TooLarge(f"{name} has {len(data)} bytes; {most_bytes} at most.")
    if "\0" in text:
        raise InvalidInput(f"{name} is not text: it contains NUL characters.")
    if begins_a_web_page(data):
        raise InvalidInput(f"{name} is a web page (HTML), not a caption.", hint=PAGE_HINT)
    return data


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


def normalise_text(path: Path, *, name: str, most_bytes: int = CAPTION_MAX_BYTES) -> str | None:
    r"""Rewrite the text at `path` as trainers read it: UTF-8 without a byte order mark, lines ended by `\n`.

    Returns:
        How it was encoded, if it was not UTF-8: `Windows-1252`, `UTF-16`, ….

    Raises:
        InvalidInput: it is not text but a web page, say, or in an encoding that cannot be told.
        TooLarge: it is longer than `most_bytes`.
    """
    if (size_bytes := path.stat().st_size) > most_bytes:
        raise TooLarge(f"{name} has {size_bytes} bytes; {most_bytes} at most.")
    data = path.read_bytes()
    text, encoding = _decoded(data, name)
    text = text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")
    normal = checked_caption(text, name=name, most_bytes=most_bytes)
    if normal != data:
        path.write_bytes(normal)
    return encoding


def _decoded(data: bytes, name: str) -> tuple[str, str | None]:
    """Return the text, and the name of its encoding unless that is UTF-8."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    if encoding is None and b"\0" in data and len(data) % 2 == 0:
        # UTF-16 without a mark has a NUL in each character of a Latin text.
        halves = {"utf-16-le": data[1::2], "utf-16-be": data[::2]}
        encoding = next((one for one, half in halves.items() if half.count(0) > len(half) // 2), None)
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        page = None if encoding else likeliest_page(data, TEXT_PAGES, worst=_WORST_COST)
        if page is None:
            raise InvalidInput(
                f"{name} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8."
            ) from error
        return data.decode(page), _PAGE_NAMES[page]
    return text, None if encoding is None else encoding.upper()[:6]


def with_trigger(caption: str, trigger_word: str) -> str:
    """Return the caption with the trigger word in front, unless it already has the word or the placeholder for it."""
    if PLACEHOLDER in caption or re.search(rf"(?<!\w){re.escape(trigger_word)}(?!\w)", caption):
        return caption
    bare = caption.strip()
    return f"{trigger_word}, {bare}" if bare else trigger_word
