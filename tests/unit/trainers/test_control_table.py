from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lorapod.records.status import Phase
from lorapod.trainers import control_table
from lorapod.trainers.control_table import ControlRow, ControlTable, phase_of

JOB_ID = "train_0123456789ab"


@pytest.fixture
def table(tmp_path: Path) -> ControlTable:
    return ControlTable.create(tmp_path / "scratch" / "control.db", JOB_ID, name="my lora", total_steps=20)


def as_trainer(table: ControlTable, statement: str, *values: object) -> None:
    """A statement as the trainer makes it: a connection of its own, values as text."""
    with closing(sqlite3.connect(table.path, isolation_level=None)) as connection:
        connection.execute(statement, (*values, JOB_ID))


def row(table: ControlTable) -> ControlRow:
    found = table.read()
    assert found is not None
    return found


def test_a_fresh_table(table: ControlTable) -> None:
    assert row(table) == ControlRow(
        status="queued", info="", step=0, speed_string="", save_now=False, sample_now=False, stop=False
    )


def test_it_has_the_columns_that_the_trainer_knows(table: ControlTable) -> None:
    with closing(sqlite3.connect(table.path)) as connection:
        columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(Job)")}
        total = connection.execute("SELECT total_steps FROM Job").fetchone()[0]
    assert columns == {
        "id",
        "name",
        "gpu_ids",
        "job_config",
        "created_at",
        "updated_at",
        "status",
        "stop",
        "return_to_queue",
        "step",
        "total_steps",
        "info",
        "speed_string",
        "queue_position",
        "pid",
        "job_type",
        "job_ref",
        "save_now",
        "sample_now",
    }
    assert total == 20


def test_what_the_trainer_writes_is_read(table: ControlTable) -> None:
    as_trainer(table, "UPDATE Job SET status = ?, info = ? WHERE id = ?", "running", "Training")
    as_trainer(table, "UPDATE Job SET step = ?, speed_string = ? WHERE id = ?", "7", "2.91 iter/sec")
    found = row(table)
    assert (found.status, found.info, found.step, found.steps_per_s) == ("running", "Training", 7, 2.91)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2.91 iter/sec", 2.91), ("1.25 sec/iter", 0.8), ("0.00 sec/iter", None), ("", None), ("fast", None)],
)
def test_the_speed_as_a_number(table: ControlTable, text: str, expected: float | None) -> None:
    as_trainer(table, "UPDATE Job SET speed_string = ? WHERE id = ?", text)
    assert row(table).steps_per_s == expected


def test_wishes_reach_the_trainer_as_numbers_and_its_answer_comes_back(table: ControlTable) -> None:
    assert table.request_save()
    assert table.request_sample()
    assert table.request_stop()
    with closing(sqlite3.connect(table.path)) as connection:
        assert connection.execute("SELECT save_now, sample_now, stop FROM Job").fetchone() == (1, 1, 1)
    as_trainer(table, "UPDATE Job SET save_now = ?, sample_now = ? WHERE id = ?", "0", "0")
    assert table.clear_stop()
    found = row(table)
    assert (found.save_now, found.sample_now, found.stop) == (False, False, False)


def test_it_is_made_afresh_for_each_run(table: ControlTable) -> None:
    table.request_stop()
    again = ControlTable.create(table.path, JOB_ID, name="my lora")
    assert not row(again).stop


def test_it_holds_no_write_ahead_log(table: ControlTable) -> None:
    table.request_save()
    assert [entry.name for entry in table.path.parent.iterdir()] == ["control.db"]


def test_a_table_that_the_trainer_holds(table: ControlTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_table, "BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(table.path, isolation_level=None)) as trainer:
        trainer.execute("BEGIN EXCLUSIVE")
        assert table.read() is None
        assert not table.request_save()
        trainer.execute("ROLLBACK")
    assert table.request_save()
    assert row(table).save_now


def test_a_table_that_is_gone_is_not_made_again(
    table: ControlTable, caplog: pytest.LogCaptureFixture
) -> None:
    table.path.unlink()
    with caplog.at_level(logging.WARNING):
        assert not table.request_save()
    assert "cannot be used" in caplog.text
    assert table.read() is None
    assert not table.path.exists()


def test_another_job_has_no_row(table: ControlTable) -> None:
    other = ControlTable(table.path, "train_000000000000")
    assert other.read() is None
    assert not other.request_stop()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ControlTable.create(tmp_path / "file" / "control.db", JOB_ID, name="x")


@pytest.mark.parametrize(
    ("info", "phase"),
    [
        ("Starting", Phase.STARTING),
        ("Loading model", Phase.LOADING_MODEL),
        ("Loading transformer", Phase.LOADING_MODEL),
        ("Quantizing T5", Phase.LOADING_MODEL),
        ("Loading dataset", Phase.PREPARING_DATASET),
        ("Generating images - 0/1", Phase.SAMPLING),
        ("Training", Phase.TRAINING),
        ("Saving model", Phase.SAVING),
        ("Training completed", None),
        ("Job stopped", None),
        ("", None),
    ],
)
def test_the_phases(info: str, phase: Phase | None) -> None:
    assert phase_of(info) is phase


class TestDamage:
    """A file that holds no usable table costs a look, never the training."""

    @pytest.fixture(params=[b"", b"not a database, but longer than a header " * 40, None])
    def damaged(self, table: ControlTable, request: pytest.FixtureRequest) -> ControlTable:
        as_trainer(table, "UPDATE Job SET status = ?, info = ? WHERE id = ?", "running", "Training")
        assert table.read() is not None
        content = table.path.read_bytes()
        # None: the header is whole, the pages behind it are not.
        broken = content[:100] + b"\xff" * (len(content) - 100) if request.param is None else request.param
        table.path.write_bytes(broken)
        return table

    def test_it_is_replaced_and_the_trainer_finds_the_fresh_one(
        self, damaged: ControlTable, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert row(damaged).status == "running"
        as_trainer(damaged, "UPDATE Job SET info = ?, step = ? WHERE id = ?", "Saving model", "9")
        assert (row(damaged).info, row(damaged).step) == ("Saving model", 9)
        assert [entry.name for entry in damaged.path.parent.iterdir()] == ["control.db"]
        assert caplog.text.count("cannot be used") == 1

    def test_a_request_is_written_into_the_fresh_one(self, damaged: ControlTable) -> None:
        assert damaged.request_save()
        assert row(damaged).save_now

    def test_a_request_that_the_trainer_has_not_taken_yet_is_kept(self, table: ControlTable) -> None:
        assert table.request_save()
        assert row(table).save_now
        table.path.write_bytes(b"x" * 4096)
        assert row(table).save_now

    def test_on_a_full_disk_it_is_logged_once_and_tried_again(
        self, damaged: ControlTable, caplog: pytest.LogCaptureFixture
    ) -> None:
        blocked = damaged.path.with_name(f".{damaged.path.name}.fresh")
        blocked.mkdir()
        for _ in range(3):
            assert damaged.read() is None
            assert not damaged.request_save()
        assert caplog.text.count("cannot be used") == 1
        blocked.rmdir()
        assert row(damaged).save_now
