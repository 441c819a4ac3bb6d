from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lorapod.trainers.builtin import loss_log_writer
from lorapod.trainers.builtin.loss_log_writer import LossLogWriter
from lorapod.volume.loss_log import last_step, read_series


def fill(path: Path, *, resumed_step: int, steps: range) -> None:
    with closing(LossLogWriter(path, resumed_step=resumed_step)) as log:
        for step in steps:
            log.write(step, {"learning_rate": 1e-4, "loss/loss": 1 / step})


def test_what_is_written_is_read_by_the_worker(tmp_path: Path) -> None:
    path = tmp_path / "loss_log.db"
    fill(path, resumed_step=0, steps=range(1, 6))
    series = read_series(path)
    assert series["loss/loss"] == [(step, 1 / step) for step in range(1, 6)]
    assert series["learning_rate"] == [(step, 1e-4) for step in range(1, 6)]


def test_a_resumed_run_takes_back_what_lies_beyond_its_step(tmp_path: Path) -> None:
    path = tmp_path / "loss_log.db"
    fill(path, resumed_step=0, steps=range(1, 10))
    log = LossLogWriter(path, resumed_step=4)
    assert last_step(path) == 4
    with closing(sqlite3.connect(path)) as table:
        assert table.execute(
            "SELECT DISTINCT first_seen_step, last_seen_step FROM metric_keys"
        ).fetchall() == [(1, 4)]
        assert table.execute("SELECT max(step) FROM steps").fetchone() == (4,)
    log.close()
    fill(path, resumed_step=4, steps=range(5, 7))
    assert [step for step, _ in read_series(path)["loss/loss"]] == list(range(1, 7))


def test_entries_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "loss_log.db"
    with closing(LossLogWriter(path, resumed_step=0)) as log:
        log.write(1, {"loss/loss": 0.5})
        log.flush()
        assert read_series(path) == {"loss/loss": [(1, 0.5)]}


@pytest.mark.parametrize("content", [b"not a database, but longer than a header " * 40, b"\xff" * 8192])
def test_a_damaged_log_is_set_aside_and_the_run_begins_a_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "loss_log.db"
    path.write_bytes(content)
    path.with_name("loss_log.db-wal").write_bytes(b"x" * 64)
    fill(path, resumed_step=3, steps=range(4, 6))
    assert [step for step, _ in read_series(path)["loss/loss"]] == [4, 5]
    assert (tmp_path / "loss_log.db.damaged").read_bytes() == content
    assert "set aside" in caplog.text


def test_a_log_whose_pages_are_damaged_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "loss_log.db"
    fill(path, resumed_step=0, steps=range(1, 400))
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    fill(path, resumed_step=400, steps=range(401, 403))
    assert [step for step, _ in read_series(path)["loss/loss"]] == [401, 402]


def test_a_log_that_cannot_be_written_for_a_while_costs_a_warning_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_log_writer, "_BUSY_TIMEOUT_S", 0.0)
    path = tmp_path / "loss_log.db"
    with closing(LossLogWriter(path, resumed_step=0)) as log:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for step in (1, 2, 3):
                log.write(step, {"loss/loss": 0.5})
                log.flush()
            other.execute("ROLLBACK")
        log.write(4, {"loss/loss": 0.5})
    assert [step for step, _ in read_series(path)["loss/loss"]] == [1, 2, 3, 4]
    assert caplog.text.count("cannot be written") == 1


def test_a_log_that_is_damaged_on_the_way_ends_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "loss_log.db"
    with closing(LossLogWriter(path, resumed_step=0)) as log:
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            other.execute("DROP TABLE metrics")
            other.commit()
        for step in (1, 2):
            log.write(step, {"loss/loss": 0.5})
            log.flush()
    assert caplog.text.count("cannot be written") == 1
    assert [step for step, _ in read_series(path)["loss/loss"]] == [1, 2]


def test_a_disk_without_room_costs_the_log_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No file can be made in a folder that is a file."""
    (tmp_path / "file").write_text("")
    with closing(LossLogWriter(tmp_path / "file" / "loss_log.db", resumed_step=0)) as log:
        for step in range(1, 4):
            log.write(step, {"loss/loss": 0.5})
            log.flush()
    assert caplog.text.count("cannot be written") == 1
