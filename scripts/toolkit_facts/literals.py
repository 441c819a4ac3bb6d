"""A reader of JavaScript literals: objects, arrays, texts and numbers; everything else is read as `None`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?=\s*[,\]}\n])")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_TEXT = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None, "undefined": None}
#: JSX in parentheses; its prose has apostrophes.
_MARKUP = re.compile(r"\(\s*<\w")
_OPEN, _CLOSED = "([{", ")]}"


class Literals:
    """A reader of the literals of one source."""

    def __init__(self, source: str, constants: Mapping[str, Any] | None = None) -> None:
        """Read from `source`; `constants` are the values of names."""
        self._source = source
        self._constants = {**_WORDS, **(constants or {})}
        self._at = 0

    def after(self, beginning: str) -> Any:
        """Return the literal that follows the first `beginning`.

        Raises:
            ValueError: the source does not have it.
        """
        self._at = self._source.index(beginning) + len(beginning)
        return self._value()

    def _value(self) -> Any:
        self._skip()
        match self._source[self._at]:
            case "{":
                return self._object()
            case "[":
                return self._array()
        for kind in (_TEXT, _NUMBER):
            if (found := kind.match(self._source, self._at)) is not None:
                self._at = found.end()
                if kind is _NUMBER:
                    return float(found[0]) if set(found[0]) & set(".eE") else int(found[0])
                return re.sub(r"\\(.)", r"\1", found[1] if found[1] is not None else found[2])
        word = _WORD.match(self._source, self._at)
        begin = self._at
        self._pass_over()
        if word is not None and self._source[begin : self._at].strip() == word[0]:
            return self._constants.get(word[0])
        return None

    def _object(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._at += 1
        while self._skip() != "}":
            key = _TEXT.match(self._source, self._at) or _WORD.match(self._source, self._at)
            if key is None:  # a spread
                self._pass_over()
            else:
                self._at = key.end()
                name = key[0].strip("'\"")
                if self._skip() == ":":
                    self._at += 1
                    found[name] = self._value()
                self._pass_over()
            if self._skip() == ",":
                self._at += 1
        self._at += 1
        return found

    def _array(self) -> list[Any]:
        found: list[Any] = []
        self._at += 1
        while self._skip() != "]":
            found.append(self._value())
            self._pass_over()
            if self._skip() == ",":
                self._at += 1
        self._at += 1
        return found

    def _skip(self) -> str:
        """Skip spaces and comments; return the next character."""
        found = _SPACE.match(self._source, self._at)
        assert found is not None
        self._at = found.end()
        return self._source[self._at]

    def _pass_over(self) -> None:
        """Go to the comma or bracket that ends this value, over whatever it is made of."""
        depth = 0
        while True:
            sign = self._source[self._at]
            if _MARKUP.match(self._source, self._at):
                self._pass_over_markup()
            elif sign in "'\"`":
                self._at = self._source.index(sign, self._at + 1)
            elif sign in _OPEN:
                depth += 1
            elif sign in _CLOSED:
                if depth == 0:
                    return
                depth -= 1
            elif sign == "," and depth == 0:
                return
            self._at += 1

    def _pass_over_markup(self) -> None:
        depth = 0
        while True:
            depth += {"(": 1, ")": -1}.get(self._source[self._at], 0)
            if depth == 0:
                return
            self._at += 1
