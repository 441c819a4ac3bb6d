from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.trainers.speed.test_forecasts import GPU, SDXL, measured

from lorapod.trainers.speed import SpeedBook
from lorapod.trainers.speed.book import FOLDER, KEPT_OF_A_MODEL
from lorapod.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path)


def process(number: int) -> str:
    return f"train_{number:012x}"


def test_the_newest_come_first_and_a_training_counts_once(workspace: Workspace) -> None:
    book = SpeedBook(workspace)
    assert book.measured(GPU, SDXL) == []
    for number in (2, 1, 3):
        book.keep(process(number), measured(float(number)))
    book.keep(process(1), measured(7.0))
    other_settings = replace(SDXL, images=8)
    assert [one.steps_per_s for one in SpeedBook(workspace).measured(GPU, other_settings)] == [3.0, 2.0, 7.0]


def test_other_devices_models_and_trainers_are_kept_apart(workspace: Workspace) -> None:
    book = SpeedBook(workspace)
    book.keep(process(1), measured(1.0))
    assert book.measured("NVIDIA L4", SDXL) == []
    for other in ({"arch": "sd1"}, {"parameters": 1330}, {"trainer": "builtin"}):
        assert book.measured(GPU, replace(SDXL, **other)) == []


def test_damaged_files_count_as_none(workspace: Workspace) -> None:
    book = SpeedBook(workspace)
    for number in range(1, 8):
        book.keep(process(number), measured(float(number)))
    files = sorted((workspace.root / FOLDER).iterdir())
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:20])
    files[2].write_text(files[2].read_text().replace('"steps_per_s":3.0', '"steps_per_s":0.0'))
    files[3].write_text(files[3].read_text().replace('"steps_per_s":4.0', '"steps_per_s":NaN'))
    files[4].write_text("[1, 2]")
    files[5].unlink()
    files[5].mkdir()
    assert [one.steps_per_s for one in book.measured(GPU, SDXL)] == [7.0]


def test_a_folder_that_cannot_be_used_costs_the_estimate_only(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    (workspace.root / FOLDER).write_text("a file")
    book = SpeedBook(workspace)
    book.keep(process(1), measured(1.0))
    assert book.measured(GPU, SDXL) == []
    assert "cannot be kept" in caplog.text


def test_only_the_newest_of_a_model_are_kept(workspace: Workspace) -> None:
    book = SpeedBook(workspace)
    for number in range(KEPT_OF_A_MODEL + 5):
        book.keep(process(number), measured(1.0 + number))
    speeds = [one.steps_per_s for one in book.measured(GPU, SDXL)]
    assert (len(speeds), speeds[0]) == (KEPT_OF_A_MODEL, KEPT_OF_A_MODEL + 5.0)
    assert len(list((workspace.root / FOLDER).iterdir())) == KEPT_OF_A_MODEL


def test_two_workers_keep_theirs_at_the_same_time(workspace: Workspace) -> None:
    def keep(first: int) -> None:
        book = SpeedBook(workspace)
        for number in range(first, first + 10):
            book.keep(process(number), measured(1.0 + number))

    workers = [threading.Thread(target=keep, args=(first,)) for first in (0, 10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {one.steps_per_s for one in SpeedBook(workspace).measured(GPU, SDXL)} == {
        1.0 + number for number in range(20)
    }
