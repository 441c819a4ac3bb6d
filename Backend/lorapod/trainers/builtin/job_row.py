"""The child's side of the control table: tells how far it is, and does what it is asked for there.

The table is AI Toolkit's `Job`. It counts only where `AITK_JOB_ID` is set and the file exists already. A table that
cannot be read or written for a while costs a warning, never the training.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from lorapod.trainers.builtin.interrupt import StopRequested

logger = logging.getLogger(__name__)

#: How long one statement waits for the supervisor's own, in seconds.
_BUSY_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class ControlRequests:
    """What the supervisor asked for."""

    save: bool = False
    sample: bool = False
    stop: bool = False


class JobRow:
    """One row of the table, or nothing at all where there is no table: then every call is free."""

    def __init__(self, path: str | None) -> None:
        """Open the table at `path`, if it is in use."""
        self._id = os.environ.get("AITK_JOB_ID", "").strip()
        #: The last step that has a checkpoint.
        self.saved_step = 0
        self._connection: sqlite3.Connection | None = None
        if path and self._id and Path(path).is_file():
            self._connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            # The row is news, not truth: a power cut may cost it, and training must not wait for a disk.
            self._connection.execute("PRAGMA synchronous=OFF")

    def status(self, status: str, info: str) -> None:
        """Say in which state the job is, and what it is doing."""
        self._set("status = ?, info = ?", status, info)

    def info(self, info: str) -> None:
        """Say what the job is doing."""
        self._set("info = ?", info)

    def progress(self, step: int, speed: str) -> None:
        """Say which step is done, and how fast they go."""
        self._set("step = ?, speed_string = ?", step, speed)

    def stopped(self) -> None:
        """Say that the job was stopped; what counts from then on is the last step that was saved."""
        self._set("status = ?, info = ?, step = ?", "stopped", "Job stopped", self.saved_step)

    def requests(self) -> ControlRequests:
        """Read what is asked for; a wish stands until `saved` or `sampling` takes it back."""
        if self._connection is None:
            return ControlRequests()
        query = "SELECT save_now, sample_now, stop FROM Job WHERE id = ?"
        try:
            row = self._connection.execute(query, (self._id,)).fetchone()
        except sqlite3.OperationalError as error:
            logger.warning("the control table cannot be read: %s", error)
            return ControlRequests()
        return (
            ControlRequests(save=row[0] == 1, sample=row[1] == 1, stop=row[2] == 1)
            if row
            else ControlRequests()
        )

    def check(self) -> None:
        """Stop here, if that is wished.

        Raises:
            StopRequested: it is.
        """
        if self.requests().stop:
            raise StopRequested

    def saved(self, step: int) -> None:
        """Say that a checkpoint of that step is on disk; a wish for one is fulfilled."""
        self.saved_step = step
        self._set("save_now = ?", 0)

    def sampling(self) -> None:
        """Say that the wished pictures are being made."""
        self._set("sample_now = ?", 0)

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _set(self, columns: str, *values: str | int) -> None:
        if self._connection is None:
            return
        try:
            self._connection.execute(f"UPDATE Job SET {columns} WHERE id = ?", (*values, self._id))  # noqa: S608 - our own names
        except sqlite3.OperationalError as error:
            logger.warning("the control table cannot be written: %s", error)
