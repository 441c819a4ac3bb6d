"""The output of a process: split into lines, and kept in an append-only, bounded log that thins out progress bars."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lorapod.clock import Clock
from lorapod.safety.redaction import Redactor

#: A line longer than this is cut into pieces, so that a child that never ends a line costs no memory.
MAX_LINE_CHARACTERS = 16_384

_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of output, without its end."""

    text: str
    #: Whether it ended in a carriage return alone: a terminal shows the next line in its place.
    repainted: bool = False


class LineSplitter:
    """One stream, split on newlines and carriage returns; broken UTF-8 becomes U+FFFD, never an error."""

    def __init__(self) -> None:
        """Begin with an empty line."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that `chunk` completes."""
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
        """Yield a repaint that waits for its successor; call it when the stream is quiet for a moment."""
        if self._rest.endswith("\r"):
            text, self._rest = self._rest[:-1], ""
            yield Line(text=text, repainted=True)

    def finish(self) -> Iterator[Line]:
        """Yield what is left when the stream has ended."""
        text, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        if text:
            yield Line(text=text.removesuffix("\r"))


#: Of a progress bar that repaints itself, one line is kept for each interval of so many seconds.
REPAINT_INTERVAL_S = 10.0

#: Number of last lines that are kept for the end of a full log, and for judging a failure.
TAIL_LINES = 400


class ProcessLog:
    """The file `logs/<process_id>.log`: one writer, any number of readers, and offsets that stay valid.

    A full log takes no more lines until it is closed; then the last ones are appended, so that the end, which shows why
    a process failed, is always there.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        clock: Clock,
        redactor: Redactor | None = None,
        echo: Callable[[str], None] | None = None,
    ) -> None:
        """Append to `path`, secrets masked; `max_bytes` bounds the whole log except its last `TAIL_LINES` lines.

        `echo` is called with every line too, even if the log is full.
        """
        self._echo = echo
        self._redactor = redactor or Redactor()
        self._clock = clock
        self._max_bytes = max_bytes
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._omitted: deque[str] = deque(maxlen=TAIL_LINES)
        self._omitted_count = 0
        self._repaint: str | None = None
        self._repaint_due = 0.0

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the log."""
        self.close()

    @property
    def tail(self) -> list[str]:
        """Return the last lines, oldest first, with one line for each series of repaints."""
        return [*self._tail, self._repaint] if self._repaint is not None else list(self._tail)

    def write(self, text: str, *, repaint: bool = False) -> None:
        """Append one line; hold a `repaint` back, to be replaced by the next one or written now and then."""
        text = self._redactor.text(text)
        if repaint:
            self._repaint = text
            if self._clock.monotonic() >= self._repaint_due:
                self._flush_repaint()
            return
        self._flush_repaint()
        self._append(text)

    def note(self, text: str) -> None:
        """Append a line of the worker, marked as such."""
        self.write(f"[lorapod] {text}")

    def close(self) -> None:
        """Write what was held back, and close the file; closing twice is no error."""
        if self._file.closed:
            return
        self._flush_repaint()
        if self._omitted_count:
            shown = len(self._omitted)
            self._emit(f"[lorapod] {self._omitted_count - shown} lines left out; the last {shown} follow")
            for text in self._omitted:
                self._emit(text)
        self._file.close()

    def _flush_repaint(self) -> None:
        if self._repaint is not None:
            text, self._repaint = self._repaint, None
            self._repaint_due = self._clock.monotonic() + REPAINT_INTERVAL_S
            self._append(text)

    def _append(self, text: str) -> None:
        self._tail.append(text)
        if self._echo is not None:
            self._echo(text)
        if self._size >= self._max_bytes:
            self._omitted.append(text)
            self._omitted_count += 1
        else:
            self._emit(text)

    def _emit(self, text: str) -> None:
        data = f"{text}\n".encode(errors="replace")
        try:
            self._size += self._file.write(data)
        except OSError:
            # A full disk must not end a training: the lines stay in the tail.
            return
