"""The judge convicts: what it is to find is found when it is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.chaos.children import find_children, leftovers
from tests.chaos.history import History, path
from tests.chaos.judge import Judge
from tests.chaos.steps import Run, repeated, told_by_log
from tests.integration.endpoint_caller import eventually

from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record
from lorapod.workspace import Workspace

IDLE = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def idle_child(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(IDLE, cwd=folder, start_new_session=True)


@pytest.mark.parametrize(
    ("runs", "wrong"),
    [
        ([Run(trained=[1, 2, 3], saved=[2]), Run(trained=[3, 4])], 0),
        ([Run(trained=[1, 2, 3], saved=[2]), Run(trained=[2, 3])], 1),
        ([Run(trained=[1, 3])], 1),
        ([Run(begins_after=0, saved=[10]), Run(begins_after=None), Run(begins_after=10)], 0),
        ([Run(begins_after=0, saved=[10]), Run(begins_after=0)], 1),
    ],
)
def test_a_step_before_the_last_checkpoint_is_found(runs: list[Run], wrong: int) -> None:
    assert len(list(repeated(runs))) == wrong


def test_runs_are_read_from_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "t started shapes with builtin as process 7\n"
        "shapes:  25%|##5       | 10/40 [00:01<00:03,  9.00it/s, lr: 1.0e-03 loss: 1.2e-01]\n"
        "Saved checkpoint to /w/output/p/shapes/shapes_000000010.safetensors\n"
        "t started shapes with builtin as process 8\n"
        "Found step 10 in metadata, starting from there\n"
        "t started shapes with builtin as process 9\n"
    )
    assert told_by_log(log) == [Run(begins_after=9, saved=[10]), Run(begins_after=10), Run()]


def test_a_record_that_goes_back_is_found() -> None:
    history = History()
    newer = make_record(generation=2, status=ProcessStatus.INTERRUPTED)
    assert history.add(1.0, newer) is None
    assert "generation" in str(history.add(2.0, make_record(generation=1)))
    done = make_record(generation=3, status=ProcessStatus.COMPLETED)
    assert history.add(4.0, done) is None
    assert "from completed to running" in str(history.add(5.0, make_record(generation=3)))


def test_an_answer_may_show_what_was_and_nothing_else() -> None:
    history = History()
    history.add(1.0, make_record(status=ProcessStatus.RUNNING))
    history.add(5.0, make_record(status=ProcessStatus.INTERRUPTED, generation=2))
    history.add(9.0, make_record(status=ProcessStatus.RUNNING, generation=3))
    assert history.allowed(2.0, 3.0) == {ProcessStatus.RUNNING, ProcessStatus.INTERRUPTED}
    assert ProcessStatus.PREPARING in history.allowed(6.0, 7.0)
    assert history.allowed(9.5, 10.0) == {ProcessStatus.RUNNING}
    assert path(ProcessStatus.COMPLETED, ProcessStatus.RUNNING, resume=True) == set()


async def test_two_children_at_once_and_one_without_a_worker_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chaos.judge.ORPHAN_S", 0.2)
    folder = Workspace.create(tmp_path).output_folder("train_0123456789ab")
    folder.mkdir()
    children = [idle_child(folder), idle_child(folder)]
    judge = Judge(tmp_path, frozenset)
    try:
        assert {child.pid for child in find_children(tmp_path)} == {child.pid for child in children}
        assert len(leftovers(tmp_path)) == 2
        judge.start()
        await eventually(lambda: len(judge.findings) >= 3, "both are found")
    finally:
        judge.close()
        for child in children:
            child.kill()
            child.wait()
    assert sorted(finding.split()[0] for finding in judge.findings) == ["2", "child", "child"]
    assert leftovers(tmp_path) == []
