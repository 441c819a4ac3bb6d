"""Decode base64 text piece by piece, so that the bytes are never in memory as a whole."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from lorapod.errors import InvalidInput

#: Characters of one piece: small enough for the processor's cache, and whole groups of four.
_PIECE_CHARACTERS = 1 << 18

_DATA_URI = re.compile(r"data:[\w.+/;=-]{0,200}?;base64,", re.ASCII | re.IGNORECASE)
_WHITESPACE = {ord(character): None for character in " \t\r\n"}


def decoded(content: str, *, name: str) -> Iterator[bytes]:
    """Yield the bytes of standard base64 in pieces; white space between the characters is ignored.

    Args:
        content: base64, or a data URI that holds it.
        name: the file's name in errors.

    Raises:
        InvalidInput: while iterating, at the first character that is not base64, or at the end if the padding is
            missing.
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
                raise InvalidInput(f"{name}: there is more text after the end of the base64.")
            whole = len(text) - len(text) % 4
            carried = text[whole:]
            data, piece = _strict(text[:whole], name), text[:whole]
        padded = padded or piece.endswith("=")
        if data:
            yield data
    if carried:
        raise InvalidInput(f"{name}: the base64 is cut off: its length is not a multiple of four.")


def decoded_size_bytes(content: str) -> int:
    """Return how many bytes the content has once decoded; a few too many if it contains white space."""
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
    """Decode the usual case without a copy of the text; return None if white space or an error is in it."""
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
