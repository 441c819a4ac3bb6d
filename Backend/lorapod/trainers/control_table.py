"""The control table: one row in a small SQLite file, through which a running trainer tells and is told.

AI Toolkit's `diffusion_trainer` looks for a row of the table `Job` whose id stands in its environment; the columns
are those that it knows. Each process has its own file, on local disk (SQLite's locks are not to be trusted on a
network volume). Rollback journal, not WAL: the trainer opens and closes a connection for each statement, and the
last close of a WAL database costs a whole checkpoint.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lorapod.trainers.port import Phase

logger = logging.getLogger(__name__)

#: How long one statement waits for the trainer's own; the trainer waits 30 s for ours.
BUSY_TIMEOUT_S = 2.0

_SCHEMA = """
CREATE TABLE Job (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    gpu_ids TEXT NOT NULL DEFAULT '0',
    job_config TEXT NOT NULL DEFAULT '{}',
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    status TEXT NOT NULL DEFAULT 'queued',
    stop BOOLEAN NOT NULL DEFAULT 0,
    return_to_queue BOOLEAN NOT NULL DEFAULT 0,
    step INTEGER NOT NULL DEFAULT 0,
    total_steps INTEGER,
    info TEXT NOT NULL DEFAULT '',
    speed_string TEXT NOT NULL DEFAULT '',
    queue_position INTEGER NOT NULL DEFAULT 0,
    pid INTEGER,
    job_type TEXT NOT NULL DEFAULT 'train',
    job_ref TEXT,
    save_now BOOLEAN NOT NULL DEFAULT 0,
    sample_now BOOLEAN NOT NULL DEFAULT 0
)
"""

_SPEED = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) (?P<unit>iter/sec|sec/iter)")


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """The row, as it stands."""

    #: `queued` before the trainer has come to it, then `running`, `stopped`, `error` or `completed`.
    status: str
    #: What the trainer is busy with, in its own words; see `phase_of`.
    info: str
    #: Steps that are done.
    step: int
    #: E.g. `2.91 iter/sec`.
    speed_string: str
    save_now: bool
    sample_now: bool
    stop: bool

    @property
    def steps_per_s(self) -> float | None:
        """The speed as a number."""
        speed = _SPEED.fullmatch(self.speed_string)
        if speed is None:
            return None
        number = float(speed["number"])
        if speed["unit"] == "iter/sec":
            return number
        return 1 / number if number > 0 else None


class ControlTable:
    """The worker's side of one control table."""

    def __init__(self, path: Path, job_id: str) -> None:
        """Use the table in `path`, which need not exist yet."""
        self.path = path
        self.job_id = job_id

    @classmethod
    def create(cls, path: Path, job_id: str, *, name: str, total_steps: int | None = None) -> ControlTable:
        """Make the table afresh, with one row; what an earlier run left there is gone.

        Raises:
            OSError: the file cannot be made.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(path)) as table, table:
                table.execute(_SCHEMA)
                table.execute(
                    "INSERT INTO Job (id, name, total_steps) VALUES (?, ?, ?)", (job_id, name, total_steps)
                )
        except sqlite3.OperationalError as error:
            raise OSError(f"{path} cannot be made: {error}") from error
        return cls(path, job_id)

    def read(self) -> ControlRow | None:
        """The row; None where there is none, or the trainer holds it for longer than `BUSY_TIMEOUT_S`."""
        columns = "status, info, step, speed_string, save_now, sample_now, stop"
        try:
            with closing(self._connect()) as table:
                row = table.execute(f"SELECT {columns} FROM Job WHERE id = ?", (self.job_id,)).fetchone()  # noqa: S608
        except sqlite3.OperationalError as error:
            logger.debug("control table cannot be read", extra={"path": str(self.path), "reason": str(error)})
            return None
        if row is None:
            return None
        status, info, step, speed, save, sample, stop = row
        return ControlRow(
            status=str(status),
            info=str(info or ""),
            step=_count(step),
            speed_string=str(speed or ""),
            save_now=_flag(save),
            sample_now=_flag(sample),
            stop=_flag(stop),
        )

    def request_save(self) -> bool:
        """Ask for a checkpoint at the end of the present step; whether the wish is written down."""
        return self._set("save_now", 1)

    def request_sample(self) -> bool:
        """Ask for samples at the end of the present step; whether the wish is written down."""
        return self._set("sample_now", 1)

    def request_stop(self) -> bool:
        """Have the trainer end at the end of the present step, without saving; whether the wish is written down."""
        return self._set("stop", 1)

    def clear_stop(self) -> bool:
        """Take `stop` back: left as it is, it ends the next run at once; whether that is written down."""
        return self._set("stop", 0)

    def _set(self, column: str, flag: int) -> bool:
        try:
            with closing(self._connect()) as table, table:
                changed = table.execute(f"UPDATE Job SET {column} = ? WHERE id = ?", (flag, self.job_id))  # noqa: S608
                return changed.rowcount == 1
        except sqlite3.OperationalError as error:
            logger.warning(
                "control table cannot be written", extra={"path": str(self.path), "reason": str(error)}
            )
            return False

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a table that is gone is not made again as an empty file.
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)


def phase_of(info: str) -> Phase | None:
    """The phase that a row's `info` stands for; None where it tells nothing new, as after the end."""
    for beginning, phase in _PHASES:
        if info.startswith(beginning):
            return phase
    return None


#: By the beginning of `info`, the first match counts. Each model reports the parts that it loads in its own words.
_PHASES = (
    ("Starting", Phase.STARTING),
    ("Loading dataset", Phase.PREPARING_DATASET),
    ("Caching", Phase.PREPARING_DATASET),
    ("Generating images", Phase.SAMPLING),
    ("Training completed", None),
    ("Training", Phase.TRAINING),
    ("Saving", Phase.SAVING),
    ("Loading", Phase.LOADING_MODEL),
    ("Quantizing", Phase.LOADING_MODEL),
    ("Preparing", Phase.LOADING_MODEL),
    ("Making", Phase.LOADING_MODEL),
    ("Moving", Phase.LOADING_MODEL),
    ("Keeping", Phase.LOADING_MODEL),
    ("Model Loaded", Phase.LOADING_MODEL),
)


def _flag(value: object) -> bool:
    """A flag as the trainer writes it: a number, or the same as text."""
    return str(value) == "1"


def _count(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
