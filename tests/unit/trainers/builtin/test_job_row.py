from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lorapod.trainers.builtin import job_row
from lorapod.trainers.builtin.interrupt import StopRequested
from lorapod.trainers.builtin.job_row import ControlRequests, JobRow
from lorapod.trainers.control_table import ControlRow, ControlTable


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ControlTable:
    monkeypatch.setenv("AITK_JOB_ID", "job-1")
    return ControlTable.create(tmp_path / "control.db", "job-1", name="mine")


@pytest.fixture
def row(table: ControlTable) -> JobRow:
    return JobRow(str(table.path))


def read(table: ControlTable) -> ControlRow:
    row = table.read()
    assert row is not None
    return row


def test_it_tells_how_far_it_is(table: ControlTable, row: JobRow) -> None:
    row.status("running", "Loading model")
    row.progress(7, "2.50 iter/sec")
    row.info("Training")
    seen = read(table)
    assert (seen.status, seen.info, seen.step, seen.steps_per_s) == ("running", "Training", 7, 2.5)


def test_wishes_stand_until_they_are_fulfilled(table: ControlTable, row: JobRow) -> None:
    assert row.requests() == ControlRequests()
    table.request_save()
    table.request_sample()
    assert row.requests() == ControlRequests(save=True, sample=True)
    row.sampling()
    assert row.requests() == ControlRequests(save=True)
    row.saved(7)
    assert row.requests() == ControlRequests()


def test_a_stop_counts_from_the_last_save(table: ControlTable, row: JobRow) -> None:
    row.check()
    row.saved(5)
    row.progress(9, "")
    table.request_stop()
    with pytest.raises(StopRequested):
        row.check()
    row.stopped()
    seen = read(table)
    assert (seen.status, seen.step, seen.stop) == ("stopped", 5, True)


def test_without_the_environment_there_is_no_table(
    table: ControlTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AITK_JOB_ID")
    row = JobRow(str(table.path))
    row.status("running", "Training")
    assert read(table).status == "queued"


def test_without_a_file_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AITK_JOB_ID", "job-1")
    row = JobRow(str(tmp_path / "none.db"))
    row.progress(1, "")
    assert row.requests() == ControlRequests()
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_locked_costs_no_training(
    table: ControlTable, row: JobRow, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_row, "_BUSY_TIMEOUT_S", 0.0)
    with closing(sqlite3.connect(table.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        row.progress(3, "")
        assert row.requests() == ControlRequests()
        other.execute("ROLLBACK")
    assert caplog.text.count("cannot be used") == 1
    row.progress(4, "")
    assert read(table).step == 4


@pytest.mark.parametrize("content", [b"", b"not a database, but longer than a header " * 40])
def test_a_damaged_table_costs_no_training_and_the_fresh_one_is_found(
    table: ControlTable, row: JobRow, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    row.status("running", "Training")
    table.path.write_bytes(content)
    for step in (1, 2, 3):
        row.progress(step, "")
        assert row.requests() == ControlRequests()
    assert caplog.text.count("cannot be used") == 1
    # The worker's next look replaces it.
    assert table.request_save()
    row.progress(4, "2.50 iter/sec")
    assert (read(table).step, row.requests()) == (4, ControlRequests(save=True))


def test_a_table_that_is_damaged_before_the_start(table: ControlTable) -> None:
    table.path.write_bytes(b"x" * 4096)
    row = JobRow(str(table.path))
    row.status("running", "Starting")
    row.check()


def test_a_table_that_is_deleted_on_the_way_is_not_made_again(table: ControlTable, row: JobRow) -> None:
    table.path.unlink()
    row.progress(1, "")
    assert row.requests() == ControlRequests()
    assert list(table.path.parent.iterdir()) == []
