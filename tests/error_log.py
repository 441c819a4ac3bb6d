"""What workers log at ERROR while a test runs, in this process and in the children that it starts."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

#: A local endpoint writes its workers' output there, line by line.
OUTPUT = "lorapod.endpoint.output"

_TRACEBACK = re.compile(r"(?:^.*\n)?^Traceback \(most recent call last\):\n(?:^\s.*\n)*^.*$", re.MULTILINE)


class ErrorLog:
    """Errors since the last look; belongs to all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: list[str] = []
        self._output: defaultdict[str, list[str]] = defaultdict(list)
        self._read: dict[Path, dict[Path, int]] = {}

    def install(self) -> None:
        """Note each record from now on, whatever handlers its logger has."""
        make = logging.getLogRecordFactory()

        def noted(*arguments: Any, **named: Any) -> logging.LogRecord:
            record = make(*arguments, **named)
            self._note(record)
            return record

        logging.setLogRecordFactory(noted)
        logging.getLogger(OUTPUT).setLevel(logging.INFO)

    def watch(self, folder: Path) -> Path:
        """Read the log files of `folder` too; returns it."""
        with self._lock:
            self._read.setdefault(folder, {})
        return folder

    def take(self, stderr: str = "") -> list[str]:
        """Return the errors that were logged since the last call; `stderr` is what children wrote beside it."""
        with self._lock:
            errors, self._errors = self._errors, []
            texts = ["\n".join(lines) for lines in self._output.values()]
            self._output.clear()
            for folder, offsets in self._read.items():
                texts += _appended(folder, offsets)
        return [*errors, *(error for text in [*texts, stderr] for error in errors_of(text))]

    def _note(self, record: logging.LogRecord) -> None:
        if record.name == OUTPUT and isinstance(record.args, tuple) and len(record.args) == 2:
            with self._lock:
                self._output[str(record.args[0])].append(str(record.args[1]))
        elif (record.levelno or 0) >= logging.ERROR and _ours(record.name):
            raised = record.exc_info[1] if record.exc_info else None
            with self._lock:
                self._errors.append(
                    f"{record.name}: {record.getMessage()}" + (f": {raised!r}" if raised else "")
                )


def errors_of(text: str) -> Iterator[str]:
    """Find the errors in a worker's output: lines of its journal, and tracebacks outside of it."""
    for line in text.splitlines():
        if '"level": "ERROR"' in line or '"level": "CRITICAL"' in line:
            try:
                entry = json.loads(line[line.index("{") :])
            except ValueError:
                continue
            if _ours(str(entry.get("logger"))):
                raised = str(entry.get("traceback", "")).strip().splitlines()[-1:]
                yield ": ".join([str(entry["logger"]), str(entry.get("message")), *raised])
    yield from (found.group() for found in _TRACEBACK.finditer(text))


def unexpected(errors: Iterable[str], expected: Iterable[str]) -> list[str]:
    """Return the errors that contain none of the expected sentences, and the sentences that no error contains."""
    logged, sentences = list(errors), list(expected)
    return [
        *(f"logged: {error}" for error in logged if not any(each in error for each in sentences)),
        *(f"not logged: {each}" for each in sentences if not any(each in error for error in logged)),
    ]


def _appended(folder: Path, offsets: dict[Path, int]) -> list[str]:
    texts = []
    for path in sorted(folder.glob("*.log")):
        written = path.read_bytes()[offsets.get(path, 0) :]
        offsets[path] = offsets.get(path, 0) + len(written)
        texts.append(written.decode(errors="replace"))
    return texts


def _ours(logger: str) -> bool:
    return logger.partition(".")[0] == "lorapod"


error_log = ErrorLog()
