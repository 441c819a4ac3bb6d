from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from lorapod.trainers.builtin.loss_log_writer import LossLogWriter
from lorapod.trainers.loss_log import last_step, read_series


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
