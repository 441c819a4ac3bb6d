from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from lorapod.volume.loss_log import last_step, latest, read_series

SCHEMA = """
CREATE TABLE IF NOT EXISTS steps (step INTEGER PRIMARY KEY, wall_time REAL NOT NULL);
CREATE TABLE IF NOT EXISTS metric_keys (key TEXT PRIMARY KEY, first_seen_step INTEGER, last_seen_step INTEGER);
CREATE TABLE IF NOT EXISTS metrics (
    step INTEGER NOT NULL, key TEXT NOT NULL, value_real REAL, value_text TEXT, PRIMARY KEY (step, key)
);
"""


def open_log(path: Path) -> sqlite3.Connection:
    """As the trainer opens it: write-ahead, and a connection that stays open."""
    log = sqlite3.connect(path, isolation_level=None)
    log.execute("PRAGMA journal_mode=WAL")
    log.executescript(SCHEMA)
    return log


def put(log: sqlite3.Connection, step: int, values: Mapping[str, float | str | None]) -> None:
    log.execute("BEGIN")
    log.execute("INSERT INTO steps VALUES (?, 0)", (step,))
    for key, value in values.items():
        real, text = (None, value) if isinstance(value, str) else (value, None)
        log.execute("INSERT INTO metrics VALUES (?, ?, ?, ?)", (step, key, real, text))
    log.execute("COMMIT")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder / "loss_log.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_log(path)) as log:
        for step in range(1, 11):
            put(log, step, {"loss/loss": 1 / step, "learning_rate": 1e-4})
        yield log


@pytest.mark.usefixtures("writer")
class TestWhileTheTrainerWrites:
    def test_every_curve(self, path: Path) -> None:
        series = read_series(path)
        assert list(series) == ["learning_rate", "loss/loss"]
        assert series["loss/loss"] == [(step, 1 / step) for step in range(1, 11)]

    def test_chosen_curves(self, path: Path) -> None:
        assert list(read_series(path, keys=["loss/loss", "x'; DROP TABLE metrics"])) == ["loss/loss"]
        assert read_series(path, keys=[]) == {}

    def test_only_what_came_after_a_step(self, path: Path) -> None:
        assert [step for step, _ in read_series(path, since_step=7)["loss/loss"]] == [8, 9, 10]
        assert read_series(path, since_step=10) == {}
        assert read_series(path, since_step=10**30) == {}

    def test_every_nth_point(self, path: Path) -> None:
        assert [step for step, _ in read_series(path, stride=4)["loss/loss"]] == [1, 5, 9]
        assert [step for step, _ in read_series(path, stride=10**30)["loss/loss"]] == [1]

    def test_the_newest(self, path: Path) -> None:
        assert last_step(path) == 10
        assert latest(path) == {"learning_rate": 1e-4, "loss/loss": 0.1}

    def test_it_is_neither_locked_nor_touched(self, path: Path, writer: sqlite3.Connection) -> None:
        before = {entry.name: entry.stat().st_mtime_ns for entry in path.parent.iterdir()}
        writer.execute("BEGIN EXCLUSIVE")
        assert last_step(path) == 10
        writer.execute("ROLLBACK")
        after = {entry.name: entry.stat().st_mtime_ns for entry in path.parent.iterdir()}
        assert {name: time for name, time in after.items() if not name.endswith("-shm")} == {
            name: time for name, time in before.items() if not name.endswith("-shm")
        }

    def test_what_is_not_committed_is_not_seen(self, path: Path, writer: sqlite3.Connection) -> None:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO metrics VALUES (11, 'loss/loss', 0.5, NULL)")
        assert last_step(path) == 10
        writer.execute("COMMIT")
        assert last_step(path) == 11

    def test_text_and_infinite_values_are_left_out(self, path: Path, writer: sqlite3.Connection) -> None:
        put(writer, 11, {"note": "hot", "loss/loss": float("inf"), "learning_rate": None})
        assert read_series(path, since_step=10) == {}
        assert latest(path) == {"learning_rate": 1e-4}


def test_a_log_whose_writer_is_gone(path: Path) -> None:
    with closing(open_log(path)) as log:
        put(log, 1, {"loss/loss": 0.5})
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["loss_log.db"]
    assert read_series(path) == {"loss/loss": [(1, 0.5)]}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["loss_log.db"]


def test_a_folder_in_which_nothing_can_be_made(path: Path) -> None:
    with closing(open_log(path)) as log:
        put(log, 1, {"loss/loss": 0.5})
    path.parent.chmod(0o500)
    try:
        assert last_step(path) == 1
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, b"SQLite format 3\x00"])
def test_a_file_that_is_no_log_has_no_curves(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert read_series(path) == {}
    assert last_step(path) is None
    assert latest(path) == {}


def test_no_file_and_a_folder_have_no_curves(path: Path) -> None:
    assert read_series(path) == {}
    path.mkdir()
    assert last_step(path) is None


def test_a_log_that_is_still_being_set_up(path: Path) -> None:
    with closing(sqlite3.connect(path)) as log:
        log.execute("PRAGMA journal_mode=WAL")
        assert last_step(path) is None
        log.executescript(SCHEMA)
        assert last_step(path) is None
        assert read_series(path) == {}


def test_a_torn_write_ahead_log_ends_at_its_last_whole_transaction(path: Path) -> None:
    with closing(open_log(path)) as log:
        for step in range(1, 6):
            put(log, step, {"loss/loss": 0.5})
        wal = path.with_name("loss_log.db-wal").read_bytes()
        database = path.read_bytes()
    copy = path.with_name("copy.db")
    copy.write_bytes(database)
    copy.with_name("copy.db-wal").write_bytes(wal[:-100])
    assert last_step(copy) == 4


def write_steps(path: Path, steps: int, ready: multiprocessing.synchronize.Event) -> None:
    with closing(open_log(path)) as log:
        # Small, so that checkpoints come between again and again.
        log.execute("PRAGMA wal_autocheckpoint=20")
        log.execute("PRAGMA synchronous=OFF")
        for step in range(steps):
            put(log, step, {"loss/loss": float(step), "learning_rate": float(step)})
            ready.set()


def test_a_reader_beside_a_busy_writer_always_sees_a_whole_prefix(path: Path) -> None:
    steps = 4_000
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writer = context.Process(target=write_steps, args=(path, steps, ready))
    writer.start()
    assert ready.wait(30)
    newest = 0
    while newest < steps - 1:
        writing = writer.is_alive()
        series = read_series(path)
        if not writing and not series:
            break
        for points in series.values():
            assert points == [(step, float(step)) for step in range(len(points))]
        if series:
            assert len(series["loss/loss"]) == len(series["learning_rate"]) >= newest
            newest = len(series["loss/loss"]) - 1
    writer.join(30)
    assert writer.exitcode == 0
    # How often it could look depends on the machine; that it saw the end does not.
    assert newest == steps - 1
    assert last_step(path) == steps - 1


def test_values_of_another_kind_are_left_out(path: Path, writer: sqlite3.Connection) -> None:
    """SQLite keeps whatever it is given, whatever the column is declared as."""
    writer.execute("INSERT INTO metrics VALUES (11, 'loss/loss', 'much', NULL)")
    writer.execute("INSERT INTO metrics VALUES (11, 'learning_rate', x'ff', NULL)")
    assert read_series(path)["loss/loss"][-1] == (10, 0.1)
    assert latest(path) == {"learning_rate": 1e-4, "loss/loss": 0.1}
