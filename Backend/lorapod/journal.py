"""The worker's own log: one JSON object per line on stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from lorapod.safety.redaction import Redactor

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JournalFormatter(logging.Formatter):
    """A formatter that writes `extra` fields and masks secrets; tracebacks appear here only, callers get sentences."""

    def __init__(self, redactor: Redactor) -> None:
        """Mask the secrets that `redactor` knows."""
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        entry: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(self._redactor.record(entry), ensure_ascii=False)


def write_journal(level: str, redactor: Redactor) -> None:
    """Send what the package logs, from `level` up, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JournalFormatter(redactor))
    package = logging.getLogger("lorapod")
    package.handlers = [handler]
    package.setLevel(level.upper())
    package.propagate = False
