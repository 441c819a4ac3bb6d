"""JSON that is checked but not rebuilt: the members of an object as slices of its text.

A result may be 20 MB of base64. It is parsed once, to check that it is JSON, and then passed on as the
bytes that arrived, inserted into the answers.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeAlias

#: The text of one JSON value, UTF-8.
RawJson: TypeAlias = bytes | memoryview

_WHITESPACE = " \t\n\r"


class InvalidJson(ValueError):
    """The body is not a JSON object."""


def split_object(body: bytes) -> dict[str, RawJson]:
    """Return the members of the JSON object `body`, each as its own raw text.

    If a name comes twice, the last one counts. `NaN` and `Infinity`, which Python writes but JSON does not
    allow, are refused.

    Raises:
        InvalidJson: `body` is not UTF-8, not JSON, or not an object.
    """
    try:
        text = body.decode()
        spans = _spans(text)
    except UnicodeDecodeError as error:
        raise InvalidJson(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise InvalidJson("the body is nested too deeply") from error
    except ValueError as error:
        raise InvalidJson(f"the body is not a JSON object: {error}") from error
    if text.isascii():
        view = memoryview(body)
        return {name: view[start:end] for name, (start, end) in spans.items()}
    return {name: text[start:end].encode() for name, (start, end) in spans.items()}


def load(raw: RawJson) -> Any:
    """Return the value of a raw JSON text from `split_object`."""
    return json.loads(bytes(raw))


def dump(value: object) -> bytes:
    """Return the compact JSON text of `value`, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def is_object(raw: RawJson) -> bool:
    """Return whether a raw JSON text is an object."""
    return bytes(raw[:1]) == b"{"


def join_object(members: dict[str, RawJson]) -> list[RawJson]:
    """Return the text of an object with these members, in pieces, so that none is copied."""
    pieces: list[RawJson] = []
    for name, value in members.items():
        pieces += ((b"," if pieces else b"{") + dump(name) + b":", value)
    return [*pieces, b"}"] if pieces else [b"{}"]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _spans(text: str) -> dict[str, tuple[int, int]]:
    position = _skip(text, 0)
    _expect(text, position, "{")
    spans: dict[str, tuple[int, int]] = {}
    position = _skip(text, position + 1)
    closing = text[position : position + 1] == "}"
    while not closing:
        _expect(text, position, '"')
        name, position = _DECODER.raw_decode(text, position)
        position = _skip(text, position)
        _expect(text, position, ":")
        start = _skip(text, position + 1)
        _, end = _DECODER.raw_decode(text, start)
        spans[name] = (start, end)
        position = _skip(text, end)
        closing = text[position : position + 1] == "}"
        if not closing:
            _expect(text, position, ",")
            position = _skip(text, position + 1)
    if _skip(text, position + 1) != len(text):
        raise ValueError(f"more text after the object, at character {position + 1}")
    return spans


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _WHITESPACE:
        position += 1
    return position


def _expect(text: str, position: int, character: str) -> None:
    if text[position : position + 1] != character:
        raise ValueError(f"expected {character!r} at character {position}")
