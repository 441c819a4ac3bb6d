"""Writes `loss_log.db`, in the schema of AI Toolkit's own log. No state of the file ends the training."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_FLUSH_EVERY_S = 0.25
_BUSY_TIMEOUT_S = 10.0
#: Entries that are kept while the log cannot be written; then the oldest are dropped.
_MAX_WAITING = 10_000
_DAMAGED_SUFFIX = ".damaged"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS steps (step INTEGER PRIMARY KEY, wall_time REAL NOT NULL);
CREATE TABLE IF NOT EXISTS metric_keys (key TEXT PRIMARY KEY, first_seen_step INTEGER, last_seen_step INTEGER);
CREATE TABLE IF NOT EXISTS metrics (
    step INTEGER NOT NULL REFERENCES steps(step) ON DELETE CASCADE,
    key TEXT NOT NULL, value_real REAL, value_text TEXT, PRIMARY KEY (step, key)
);
CREATE INDEX IF NOT EXISTS metrics_by_key ON metrics (key, step);
"""


class LossLogWriter:
    """One writer of one log. It flushes a few times a second, so a kill may cost the last entries."""

    def __init__(self, path: Path, *, resumed_step: int) -> None:
        """Open the log and delete what an earlier run wrote after `resumed_step`."""
        self._path = path
        #: Where to cut the log; None once that is done.
        self._cut_after: int | None = resumed_step
        self._connection: sqlite3.Connection | None = None
        self._waiting: deque[tuple[int, float, Mapping[str, float]]] = deque(maxlen=_MAX_WAITING)
        self._reported = False
        self.flush()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the metrics of one step."""
        self._waiting.append((step, time.time(), metrics))
        if time.monotonic() - self._flushed >= _FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write the entries that wait; if that fails, keep them for the next flush."""
        self._flushed = time.monotonic()
        try:
            self._connection = log = self._connection or self._open()
            with log:
                log.execute("BEGIN")
                self._insert(log)
        except (sqlite3.Error, OSError) as error:
            self._close()
            if not self._reported:
                logger.warning("the loss log cannot be written, the training continues: %s", error)
            self._reported = True
            return
        self._reported = False
        self._waiting.clear()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._close()

    def _insert(self, log: sqlite3.Connection) -> None:
        for step, wall_time, metrics in self._waiting:
            log.execute("INSERT OR REPLACE INTO steps VALUES (?, ?)", (step, wall_time))
            for key, value in metrics.items():
                log.execute("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, NULL)", (step, key, value))
                log.execute(
                    "INSERT INTO metric_keys VALUES (?1, ?2, ?2) "
                    "ON CONFLICT(key) DO UPDATE SET last_seen_step = max(last_seen_step, ?2)",
                    (key, step),
                )

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        """Open the log; set a damaged one aside and begin a new one.

        Raises:
            sqlite3.Error, OSError: it can be neither opened nor made.
        """
        try:
            return self._prepared()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise
            logger.warning("the loss log is damaged: it is set aside, and a new one begins: %s", error)
        for suffix in ("-shm", "-wal", ""):
            damaged = self._path.with_name(f"{self._path.name}{_DAMAGED_SUFFIX}{suffix}")
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).replace(damaged)
        return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        log = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        try:
            log.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;{_SCHEMA}")
            log.execute("PRAGMA foreign_keys=ON")
            if self._cut_after is not None:
                self._cut(log, self._cut_after)
                self._cut_after = None
        except sqlite3.Error:
            log.close()
            raise
        return log

    @staticmethod
    def _cut(log: sqlite3.Connection, last_step: int) -> None:
        log.execute("DELETE FROM steps WHERE step > ?", (last_step,))
        log.execute("DELETE FROM metric_keys WHERE key NOT IN (SELECT key FROM metrics)")
        log.execute(
            "UPDATE metric_keys SET last_seen_step = (SELECT max(step) FROM metrics WHERE metrics.key = metric_keys.key)"
        )
