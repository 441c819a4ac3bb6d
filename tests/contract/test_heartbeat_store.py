"""What every store of heartbeats must do, run against each of them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from tests.contract.conftest import OpenState

from lorapod.processes.store.file import FileHeartbeats
from lorapod.processes.store.port import Heartbeat

BEAT = Heartbeat(count=1, host="boot/pid:[1]", pid=7, pid_started=1.5)


def test_what_one_worker_writes_another_reads(open_state: OpenState) -> None:
    open_state().heartbeats.write("a.1", BEAT)
    assert open_state().heartbeats.read("a.1") == BEAT
    later = dataclasses.replace(BEAT, count=2, pid_started=None)
    open_state().heartbeats.write("a.1", later)
    assert open_state().heartbeats.read("a.1") == later


def test_each_worker_has_its_own(open_state: OpenState) -> None:
    store = open_state().heartbeats
    store.write("a.1", BEAT)
    assert store.read("a.2") is None
    store.write("a.2", dataclasses.replace(BEAT, count=9))
    assert store.read("a.1") == BEAT


def test_a_forgotten_one_is_gone_and_can_be_forgotten_again(open_state: OpenState) -> None:
    store = open_state().heartbeats
    store.write("a.1", BEAT)
    for _ in range(2):
        store.forget("a.1")
        assert store.read("a.1") is None
    store.write("a.1", BEAT)
    assert store.read("a.1") == BEAT


def test_a_damaged_file_is_no_heartbeat_and_no_crash(tmp_path: Path) -> None:
    store = FileHeartbeats(tmp_path / "workers")
    (tmp_path / "workers" / "a.1").write_bytes(b'{"count":')
    assert store.read("a.1") is None
    store.write("a.1", BEAT)
    assert store.read("a.1") == BEAT


def test_workers_of_earlier_versions_read_and_write_the_same_file(tmp_path: Path) -> None:
    store = FileHeartbeats(tmp_path / "workers")
    (tmp_path / "workers" / "a.1").write_text('{"count":1,"host":"boot/pid:[1]","pid":7,"pid_started":1.5}')
    assert store.read("a.1") == BEAT
    store.write("a.2", BEAT)
    assert json.loads((tmp_path / "workers" / "a.2").read_bytes()) == dataclasses.asdict(BEAT)


def test_what_a_killed_worker_left_half_written_is_found_and_forgotten(tmp_path: Path) -> None:
    store = FileHeartbeats(tmp_path / "workers")
    store.write("a.1", BEAT)
    (tmp_path / "workers" / ".a.2.tmp").write_bytes(b'{"cou')
    assert store.holders() == ["a.1", "a.2"]
    assert store.read("a.2") is None
    store.forget("a.2")
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["a.1"]


def test_a_failed_write_leaves_nothing_that_forgetting_does_not_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileHeartbeats(tmp_path / "workers")

    def killed(_self: Path, _target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write("a.1", BEAT)
    assert store.holders() == ["a.1"]
    store.forget("a.1")
    assert not list((tmp_path / "workers").iterdir())


def test_a_folder_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    store = FileHeartbeats(tmp_path / "workers")
    shutil.rmtree(tmp_path / "workers")
    assert store.read("a.1") is None
    store.forget("a.1")
    store.write("a.1", BEAT)
    assert store.read("a.1") == BEAT
