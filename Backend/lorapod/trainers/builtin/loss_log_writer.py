"""Writes `loss_log.db`, in the schema that AI Toolkit's own log has."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

_FLUSH_EVERY_S = 0.25
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
    """One writer of one log. Entries are flushed a few times a second; a kill may cost the last of them."""

    def __init__(self, path: Path, *, resumed_step: int) -> None:
        """Open the log and delete what an earlier run had written beyond `resumed_step`."""
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;{_SCHEMA}")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._prune(resumed_step)
        self._waiting: list[tuple[int, float, Mapping[str, float]]] = []
        self._flushed = time.monotonic()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one step."""
        self._waiting.append((step, time.time(), metrics))
        if time.monotonic() - self._flushed >= _FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write what was taken."""
        run = self._connection
        run.execute("BEGIN")
        for step, wall_time, metrics in self._waiting:
            run.execute("INSERT OR REPLACE INTO steps VALUES (?, ?)", (step, wall_time))
            for key, value in metrics.items():
                run.execute("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, NULL)", (step, key, value))
                run.execute(
                    "INSERT INTO metric_keys VALUES (?1, ?2, ?2) "
                    "ON CONFLICT(key) DO UPDATE SET last_seen_step = max(last_seen_step, ?2)",
                    (key, step),
                )
        run.execute("COMMIT")
        self._waiting.clear()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._connection.close()

    def _prune(self, last_step: int) -> None:
        self._connection.execute("DELETE FROM steps WHERE step > ?", (last_step,))
        self._connection.execute("DELETE FROM metric_keys WHERE key NOT IN (SELECT key FROM metrics)")
        self._connection.execute(
            "UPDATE metric_keys SET last_seen_step = (SELECT max(step) FROM metrics WHERE metrics.key = metric_keys.key)"
        )
