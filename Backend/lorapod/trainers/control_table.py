"""The control table: one row in a small SQLite file, through which the worker and a running trainer talk.

AI Toolkit's `diffusion_trainer` reads and writes the row of the table `Job` whose id is in its environment; the columns
are those that it knows. Each process has its own file on local disk, because SQLite's locks are not reliable on a
network volume. The journal is a rollback journal, not a write-ahead log: the trainer opens and closes a connection for
each statement, and closing the last connection of a WAL database costs a whole checkpoint.

No state of the file ends a training: a table that cannot be read or written is logged once and tried again at the next
call, and a damaged one is replaced by a fresh table.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lorapod.records.status import Phase

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: How long one statement waits for a statement of the trainer; the trainer waits 30 s for ours.
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

_SIDE_FILES = ("-journal", "-wal", "-shm")

_SPEED = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) (?P<unit>iter/sec|sec/iter)")


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """The row at one moment."""

    #: `queued` until the trainer first writes it, then `running`, `stopped`, `error` or `completed`.
    status: str
    #: What the trainer is doing, in its own words; see `phase_of`.
    info: str
    #: Completed steps.
    step: int
    #: For example `2.91 iter/sec`.
    speed_string: str
    save_now: bool
    sample_now: bool
    stop: bool

    @property
    def steps_per_s(self) -> float | None:
        """Return the speed as a number."""
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
        """Use the table in `path`, which may not exist yet."""
        self.path = path
        self.job_id = job_id
        #: What a fresh table gets if this one is damaged: the status and the flags that were last read or written.
        #: Only a running trainer has a table that can be damaged.
        self._known: dict[str, str | int] = {"status": "running"}
        self._reported = False

    @classmethod
    def create(cls, path: Path, job_id: str, *, name: str, total_steps: int | None = None) -> ControlTable:
        """Make the table afresh, with one row, and delete what an earlier run left.

        Raises:
            OSError: the file cannot be made.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *_SIDE_FILES):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        _make(path, {"id": job_id, "name": name, "total_steps": total_steps})
        return cls(path, job_id)

    def read(self) -> ControlRow | None:
        """Return the row, or None if it is missing or the trainer locks it for longer than `BUSY_TIMEOUT_S`."""
        columns = "status, info, step, speed_string, save_now, sample_now, stop"

        def select(table: sqlite3.Connection) -> tuple[object, ...] | None:
            found: tuple[object, ...] | None = table.execute(
                f"SELECT {columns} FROM Job WHERE id = ?",  # noqa: S608 - names of this module
                (self.job_id,),
            ).fetchone()
            return found

        found = self._run(select)
        if found is None:
            return None
        status, info, step, speed, save, sample, stop = found
        row = ControlRow(
            status=str(status),
            info=str(info or ""),
            step=_count(step),
            speed_string=str(speed or ""),
            save_now=_flag(save),
            sample_now=_flag(sample),
            stop=_flag(stop),
        )
        self._known = {
            "status": row.status,
            "save_now": int(row.save_now),
            "sample_now": int(row.sample_now),
            "stop": int(row.stop),
        }
        return row

    def request_save(self) -> bool:
        """Ask for a checkpoint at the end of the current step; return whether the request was written."""
        return self._set("save_now", 1)

    def request_sample(self) -> bool:
        """Ask for samples at the end of the current step; return whether the request was written."""
        return self._set("sample_now", 1)

    def request_stop(self) -> bool:
        """Ask the trainer to end after the current step without saving; return whether the request was written."""
        return self._set("stop", 1)

    def clear_stop(self) -> bool:
        """Withdraw `stop`, which would end the next run at once; return whether that was written."""
        return self._set("stop", 0)

    def _set(self, column: str, flag: int) -> bool:
        def update(table: sqlite3.Connection) -> bool:
            changed = table.execute(
                f"UPDATE Job SET {column} = ? WHERE id = ?",  # noqa: S608 - names of this module
                (flag, self.job_id),
            )
            return changed.rowcount == 1

        self._known[column] = flag
        return self._run(update) or False

    def _run(self, statement: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run one statement, on a fresh table if this one is damaged; return None if that is not possible."""
        try:
            try:
                result = self._on_table(statement)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise
                self._report(error)
                self._replace()
                result = self._on_table(statement)
        except (sqlite3.Error, OSError) as error:
            self._report(error)
            return None
        self._reported = False
        return result

    def _on_table(self, statement: Callable[[sqlite3.Connection], T]) -> T:
        # mode=rw: a file that was deleted is not made again as an empty one.
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)) as table, table:
            return statement(table)

    def _replace(self) -> None:
        """Put a fresh table in the place of a damaged one, in one rename; the trainer finds it at its next statement.

        Raises:
            OSError: the file cannot be made.
        """
        fresh = self.path.with_name(f".{self.path.name}.fresh")
        fresh.unlink(missing_ok=True)
        _make(fresh, {"id": self.job_id, "name": self.job_id, **self._known})
        for suffix in _SIDE_FILES:
            # Else SQLite would roll a journal of the damaged file back into the fresh one.
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        fresh.replace(self.path)

    def _report(self, error: Exception) -> None:
        """Log the first failure of a row of failures, not one line for each look."""
        if self._reported:
            return
        self._reported = True
        logger.warning(
            "the control table cannot be used; the training continues",
            extra={"path": str(self.path), "reason": str(error)},
        )


def _make(path: Path, columns: Mapping[str, str | int | None]) -> None:
    names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
    try:
        with closing(sqlite3.connect(path)) as table, table:
            table.execute(_SCHEMA)
            table.execute(f"INSERT INTO Job ({names}) VALUES ({marks})", tuple(columns.values()))  # noqa: S608
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be made: {error}") from error


def _is_damage(error: sqlite3.Error) -> bool:
    """Return whether the file holds no usable table, as opposed to one that is locked, missing or on a full disk."""
    code = getattr(error, "sqlite_errorcode", None)
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or str(error).startswith("no such table")


def phase_of(info: str) -> Phase | None:
    """Return the phase that a row's `info` means, or None if it means none, for example after the end."""
    for beginning, phase in _PHASES:
        if info.startswith(beginning):
            return phase
    return None


#: By how `info` begins; the first match counts. Each model names the parts that it loads in its own words.
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
    """Read a flag, which the trainer writes as a number or as text."""
    return str(value) == "1"


def _count(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
