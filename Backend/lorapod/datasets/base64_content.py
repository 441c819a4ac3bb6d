"""Base64 text, decoded piece by piece: the whole of the bytes never lies in memory."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from lorapod.errors import InvalidInput

#: Characters that are decoded at a time: small enough for the processor's cache, and whole groups of four.
_PIECE_CHARACTERS = 1 << 18

_DATA_URI = re.compile(r"data:[\w.+/;=-]{0,200}?;base64,", re.ASCII | re.IGNORECASE)
_WHITESPACE = {ord(character): None for character in " \t\r\n"}


def decoded(content: str, *, name: str) -> Iterator[bytes]:
    """The bytes behind standard base64, in pieces; white space between the characters is passed over.

    Args:
        content: base64, or a data URI that holds it.
        name: what errors call it.

    Raises:
        InvalidInput: while iterating, at the first character that is not base64, or at the end where the padding
            is missing.
    """
    begin = _start(content, name)
    carried = ""
    padded = False
    for place in range(begin, len(content), _PIECE_CHARACTERS):
        piece = content[place : place + _PIECE_CHARACTERS]
        data = None if carried or padded else _quick(piece)
        if data is None:
            text = carried + piece.translate(_WHITESPACE)
            if padded and text:
                raise InvalidInput(f"{name}: the base64 goes on after its end.")
            whole = len(text) - len(text) % 4
            carried = text[whole:]
            data, piece = _strict(text[:whole], name), text[:whole]
        padded = padded or piece.endswith("=")
        if data:
            yield data
    if carried:
        raise InvalidInput(f"{name}: the base64 is cut off: its length is not a multiple of four.")


def decoded_size_bytes(content: str) -> int:
    """How many bytes the content has once decoded; a few too many where it holds white space."""
    return (len(content) - _start(content, "content")) // 4 * 3


def _start(content: str, name: str) -> int:
    if content[:5].lower() != "data:":
        return 0
    matched = _DATA_URI.match(content)
    if matched is None:
        raise InvalidInput(
            f"{name}: the data URI does not hold base64.", hint="Send data:<type>;base64,<content>."
        )
    return matched.end()


def _quick(piece: str) -> bytes | None:
    """The usual case, without a copy of the text; None: it needs a closer look."""
    if len(piece) % 4:
        return None
    try:
        return binascii.a2b_base64(piece, strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def _strict(text: str, name: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            f"{name}: the content is not base64.",
            hint="Use the standard alphabet (A-Z a-z 0-9 + /) with padding (=).",
        ) from error
