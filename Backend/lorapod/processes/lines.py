"""From chunks of a child's output to lines, progress bars included."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: A line longer than this is cut into pieces, so that a child that never ends a line costs no memory.
MAX_LINE_CHARACTERS = 16_384

_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of output, without its end."""

    text: str
    #: It ended in a carriage return alone: the next one is painted over it.
    repainted: bool = False


class LineSplitter:
    """Splits one stream on newlines and carriage returns; broken UTF-8 becomes U+FFFD, never an error."""

    def __init__(self) -> None:
        """Begin with an empty line."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that `chunk` completes."""
        text = self._rest + self._decoder.decode(chunk)
        start = 0
        for end in _END.finditer(text):
            if end.group() == "\r" and end.end() == len(text):
                # It may be the first half of "\r\n".
                break
            yield Line(text=text[start : end.start()], repainted=end.group() == "\r")
            start = end.end()
        while len(text) - start > MAX_LINE_CHARACTERS:
            yield Line(text=text[start : start + MAX_LINE_CHARACTERS])
            start += MAX_LINE_CHARACTERS
        self._rest = text[start:]

    def pause(self) -> Iterator[Line]:
        """A repaint that waits for its successor; call when the stream is quiet for a moment."""
        if self._rest.endswith("\r"):
            text, self._rest = self._rest[:-1], ""
            yield Line(text=text, repainted=True)

    def finish(self) -> Iterator[Line]:
        """What is left when the stream has ended."""
        text, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        if text:
            yield Line(text=text.removesuffix("\r"))
