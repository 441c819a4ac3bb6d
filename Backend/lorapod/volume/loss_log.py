"""The loss log of a run: an SQLite file that the trainer writes and that can be read at any time.

Tables: `steps(step, wall_time)` and `metrics(step, key, value_real, value_text)`; keys are `learning_rate` and
`loss/loss`, and whatever else the trainer logs. Steps count from 0, so the last row of a run of 20 steps is 19.

The file is in WAL mode. Opening it in place, even read-only, takes locks in its `-shm` file and may create or
rebuild that file; on a volume that several machines share, that can corrupt what the writer sees. So it is never
opened in place: the database and its write-ahead log are copied to local disk and the copy is opened, where SQLite
recovers every committed transaction (a frame that was half written fails its checksum and ends the recovery). A copy
is taken again when a checkpoint moved frames from one file to the other meanwhile. A log of 10,000 steps is about
2 MB.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.port import FileState, VolumeFiles

logger = logging.getLogger(__name__)

#: Its name in the run's folder.
FILE_NAME = "loss_log.db"

Series = Mapping[str, list[tuple[int, float]]]
T = TypeVar("T")

#: How many copies are tried of a log that changes during each copy.
_ATTEMPTS = 5

_LARGEST_STEP = 2**63 - 1

#: The write-ahead log's header: a checkpoint that starts it again writes new salts here.
_WAL_HEADER_BYTES = 32


def read_series(
    path: Path,
    *,
    keys: Collection[str] | None = None,
    since_step: int | None = None,
    stride: int = 1,
    files: VolumeFiles = LOCAL_FILES,
) -> Series:
    """Return the logged curves.

    Args:
        path: the log; one that is missing, empty or not yet set up has no curves.
        keys: the curves to read; None means all.
        since_step: only points after this step.
        stride: keep every n-th point of a curve, starting with its first.
        files: read the log through these.

    Returns:
        For each key its points `(step, value)` by step; values that are not finite numbers are left out.
    """
    query = (
        "SELECT key, step, value_real FROM (SELECT key, step, value_real,"
        " ROW_NUMBER() OVER (PARTITION BY key ORDER BY step) - 1 AS place"
        " FROM metrics WHERE typeof(value_real) IN ('real', 'integer') AND step > ?"
        " AND (? OR key IN (SELECT value FROM json_each(?))))"
        " WHERE place % ? = 0 ORDER BY key, step"
    )
    after = -1 if since_step is None else min(since_step, _LARGEST_STEP)
    parameters = (after, keys is None, json.dumps(list(keys or ())), min(max(1, stride), _LARGEST_STEP))

    def read(log: sqlite3.Connection) -> dict[str, list[tuple[int, float]]]:
        series: dict[str, list[tuple[int, float]]] = {}
        for key, step, value in log.execute(query, parameters):
            if math.isfinite(value):
                series.setdefault(key, []).append((step, value))
        return series

    return _reading(path, read, files) or {}


def last_step(path: Path, *, files: VolumeFiles = LOCAL_FILES) -> int | None:
    """Return the newest logged step, or None if nothing is logged."""

    def read(log: sqlite3.Connection) -> int | None:
        step: int | None = log.execute("SELECT MAX(step) FROM metrics").fetchone()[0]
        return step

    return _reading(path, read, files)


def latest(path: Path, *, files: VolumeFiles = LOCAL_FILES) -> Mapping[str, float]:
    """Return the newest value of every key."""
    query = (
        "SELECT key, value_real, MAX(step) FROM metrics WHERE typeof(value_real) IN ('real', 'integer')"
        " GROUP BY key ORDER BY key"
    )

    def read(log: sqlite3.Connection) -> dict[str, float]:
        return {key: value for key, value, _step in log.execute(query) if math.isfinite(value)}

    return _reading(path, read, files) or {}


def _reading(path: Path, read: Callable[[sqlite3.Connection], T], files: VolumeFiles) -> T | None:
    """Return what `read` makes of a consistent copy, or None if the log is missing or cannot be read."""
    for _ in range(_ATTEMPTS):
        with tempfile.TemporaryDirectory(prefix="loss_log_") as folder:
            copy = Path(folder, "log.db")
            try:
                if not _copied(path, copy, files):
                    continue
            except FileNotFoundError:
                return None
            except OSError as error:
                logger.warning("loss log cannot be read", extra={"path": str(path), "reason": str(error)})
                return None
            try:
                with closing(sqlite3.connect(copy)) as log:
                    return read(log)
            except sqlite3.DatabaseError as error:
                if "no such table" in str(error):
                    return None
                logger.info("loss log cannot be read yet", extra={"path": str(path), "reason": str(error)})
    logger.warning("loss log cannot be read", extra={"path": str(path)})
    return None


def _copied(path: Path, copy: Path, files: VolumeFiles) -> bool:
    """Copy the database and its write-ahead log; return False if a checkpoint changed them meanwhile.

    Raises:
        FileNotFoundError: the database is missing.
    """
    wal, wal_copy = _wal(path), _wal(copy)
    before = _state(path, files)
    files.copy(path, copy)
    try:
        files.copy(wal, wal_copy)
    except FileNotFoundError:
        wal_copy.unlink(missing_ok=True)
    return _state(path, files) == before


def _state(path: Path, files: VolumeFiles) -> tuple[FileState, bytes]:
    state = files.state(path)
    try:
        header = files.read(_wal(path), length=_WAL_HEADER_BYTES).data
    except FileNotFoundError:
        header = b""
    return state, header


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
