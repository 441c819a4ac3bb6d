"""Commands that are run in a terminal while it is recorded."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recording_parts.cast import Cast, CastEvent, EventKind

PROMPT = "\x1b[1;32m$\x1b[0m "
#: Between two letters that are typed, and before and after a command, in seconds. They are not waited for.
_KEY_S, _PAUSE_S = 0.04, 0.8
#: What comes out within this time is one event, in seconds.
_TOGETHER_S = 0.1
_READ_BYTES = 65_536


class CommandFailed(Exception):
    """A command of the recording ended with an error; its text is what it showed."""


@dataclass(kw_only=True)
class RecordedSession:
    """A terminal, and what it has shown so far."""

    folder: Path
    environment: Mapping[str, str]
    width: int = 80
    height: int = 24
    events: list[CastEvent] = field(default_factory=list)
    _now_s: float = 0.0

    def run(self, shown: str, argv: Sequence[str]) -> str:
        """Type the command `shown`, run `argv` in a terminal, and return what that shows.

        Raises:
            CommandFailed: it ended with an error.
        """
        self._add("m", shown)
        self._add("o", PROMPT)
        self._now_s += _PAUSE_S
        for letter in shown:
            self._add("o", letter)
            self._now_s += _KEY_S
        self._now_s += _PAUSE_S / 2
        self._add("o", "\r\n")
        text, exit_code = self._follow(argv)
        if exit_code:
            raise CommandFailed(text)
        self._now_s += _PAUSE_S
        return text

    def cast(self, title: str) -> Cast:
        """Return the recording; it ends with a prompt."""
        last = CastEvent(time_s=self._now_s, kind="o", text=PROMPT)
        return Cast(width=self.width, height=self.height, title=title, events=[*self.events, last])

    def _add(self, kind: EventKind, text: str) -> None:
        self.events.append(CastEvent(time_s=self._now_s, kind=kind, text=text))

    def _follow(self, argv: Sequence[str]) -> tuple[str, int]:
        outside, inside = pty.openpty()
        try:
            fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", self.height, self.width, 0, 0))
            process = subprocess.Popen(
                argv,
                stdin=inside,
                stdout=inside,
                stderr=inside,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )
            os.close(inside)
            text = self._record(outside)
            return text, process.wait()
        finally:
            os.close(outside)

    def _record(self, outside: int) -> str:
        """Read what a terminal shows until its command has ended."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        began_s, offset_s, whole = time.monotonic(), self._now_s, ""
        while True:
            try:
                data = os.read(outside, _READ_BYTES)
            except OSError:  # Linux's way to say that the other side is closed
                data = b""
            if not data:
                return whole
            text = decoder.decode(data)
            whole += text
            self._now_s = offset_s + time.monotonic() - began_s
            self._extend(text)

    def _extend(self, text: str) -> None:
        """Add what came out, to the last event if that is hardly older."""
        last = self.events[-1]
        if last.kind == "o" and last.text != "\r\n" and self._now_s - last.time_s < _TOGETHER_S:
            self.events[-1] = CastEvent(time_s=last.time_s, kind="o", text=last.text + text)
        else:
            self._add("o", text)
