"""The child's side of the control table: reports progress and reads the supervisor's requests.

The table is AI Toolkit's `Job`. It is used only if `AITK_JOB_ID` is set and the file exists. Each statement has a
connection of its own, as in AI Toolkit, so that a table which the worker has replaced is found at once. A table that
cannot be used costs one warning, never the training.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.trainers.builtin.interrupt import StopRequested

logger = logging.getLogger(__name__)

#: How long one statement waits for a statement of the supervisor, in seconds.
_BUSY_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class ControlRequests:
    """What the supervisor has asked for."""

    save: bool = False
    sample: bool = False
    stop: bool = False


class JobRow:
    """One row of the table; without a table, every method does nothing."""

    def __init__(self, path: str | None) -> None:
        """Use the table at `path` if this run has one."""
        self._id = os.environ.get("AITK_JOB_ID", "").strip()
        self._path = Path(path).absolute() if path and self._id and Path(path).is_file() else None
        #: The last step that has a checkpoint.
        self.saved_step = 0
        self._reported = False

    def status(self, status: str, info: str) -> None:
        """Report the state of the job and what it is doing."""
        self._set("status = ?, info = ?", status, info)

    def info(self, info: str) -> None:
        """Report what the job is doing."""
        self._set("info = ?", info)

    def progress(self, step: int, speed: str) -> None:
        """Report the completed step and the speed."""
        self._set("step = ?, speed_string = ?", step, speed)

    def stopped(self) -> None:
        """Report that the job was stopped; its step is then the last one that was saved."""
        self._set("status = ?, info = ?, step = ?", "stopped", "Job stopped", self.saved_step)

    def requests(self) -> ControlRequests:
        """Return the open requests; each stays open until `saved` or `sampling` closes it."""
        row = self._run("SELECT save_now, sample_now, stop FROM Job WHERE id = ?", self._id)
        return (
            ControlRequests(save=row[0] == 1, sample=row[1] == 1, stop=row[2] == 1)
            if row
            else ControlRequests()
        )

    def check(self) -> None:
        """Stop here if the supervisor has asked for it.

        Raises:
            StopRequested: it has.
        """
        if self.requests().stop:
            raise StopRequested

    def saved(self, step: int) -> None:
        """Report that the checkpoint of a step is on disk, and close the request for one."""
        self.saved_step = step
        self._set("save_now = ?", 0)

    def sampling(self) -> None:
        """Close the request for samples, because they are being made."""
        self._set("sample_now = ?", 0)

    def _set(self, columns: str, *values: str | int) -> None:
        self._run(f"UPDATE Job SET {columns} WHERE id = ?", *values, self._id)  # noqa: S608 - names of this module

    def _run(self, statement: str, *values: str | int) -> tuple[Any, ...] | None:
        """Run one statement and return the first row of its result; None also if the table cannot be used."""
        if self._path is None:
            return None
        # mode=rw: a file that was deleted is not made again as an empty one.
        address = f"{self._path.as_uri()}?mode=rw"
        try:
            with closing(
                sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            ) as table:
                # A power cut may cost the row; training must not wait for a disk.
                table.execute("PRAGMA synchronous=OFF")
                row: tuple[Any, ...] | None = table.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            if not self._reported:
                logger.warning("the control table cannot be used, the training continues: %s", error)
            self._reported = True
            return None
        self._reported = False
        return row
