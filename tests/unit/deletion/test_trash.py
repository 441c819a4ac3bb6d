"""What is deleted is gone at once and for good, also when the worker dies in between or the disk is full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lorapod.atomic import write_atomically
from lorapod.deletion import trash as trash_module
from lorapod.deletion.trash import Trash
from lorapod.errors import Conflict
from lorapod.processes.store.file import FileRecords
from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record
from lorapod.workspace import Workspace


class TrashBench:
    """A workspace with one process that has ended, and its outputs."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root)
        self.records = FileRecords(self.workspace.processes)
        self.trash = Trash(self.workspace, self.records)
        self.record = make_record(status=ProcessStatus.COMPLETED)
        self.records.create(self.record)
        self.output = self.workspace.output_folder(self.record.process_id)
        self.put("weights.safetensors")
        self.put("samples/1.jpg")

    def put(self, name: str) -> Path:
        path = self.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        return path

    def empty(self) -> None:
        """Wait until the background has removed what is in the trash."""
        trash_module._REMOVALS.submit(lambda: None).result(10)

    @property
    def in_trash(self) -> list[str]:
        return sorted(path.name for path in self.trash.folder.glob("*")) if self.trash.folder.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> TrashBench:
    return TrashBench(tmp_path / "workspace")


def test_files_and_record_go_together(bench: TrashBench) -> None:
    other = bench.workspace.output / "stays"
    other.mkdir()
    bench.trash.discard([bench.output, bench.workspace.root / "not there"], bench.record)
    assert not bench.output.exists()
    assert bench.records.load(bench.record.process_id) is None
    bench.empty()
    assert bench.in_trash == []
    assert other.is_dir()


def test_a_link_goes_and_not_what_it_leads_to(bench: TrashBench) -> None:
    link = bench.workspace.models / "link"
    link.symlink_to(bench.output)
    bench.trash.discard([link])
    bench.empty()
    assert not link.is_symlink()
    assert (bench.output / "weights.safetensors").exists()


def test_a_process_that_was_resumed_meanwhile_keeps_everything(bench: TrashBench) -> None:
    interrupted = make_record(process_id="train_ffffffffffff", status=ProcessStatus.INTERRUPTED)
    bench.records.create(interrupted)
    bench.records.create(interrupted.moved(ProcessStatus.QUEUED, generation=2))
    with pytest.raises(Conflict):
        bench.trash.discard([bench.output], interrupted)
    bench.empty()
    assert (bench.output / "weights.safetensors").exists()
    assert bench.in_trash == []


def test_a_process_that_starts_has_a_deletion_checked_again(bench: TrashBench) -> None:
    checks: list[bool] = []

    def check() -> None:
        checks.append(True)
        if len(checks) == 1:
            bench.trash.settle()  # as the process does, once it is in the store
            return
        raise Conflict("it is used now")

    with pytest.raises(Conflict):
        bench.trash.discard([bench.output], bench.record, check=check)
    assert len(checks) == 2
    assert (bench.output / "weights.safetensors").exists()
    assert bench.records.load(bench.record.process_id) == bench.record
    assert bench.in_trash == []


def test_a_process_that_starts_completes_what_is_decided(
    bench: TrashBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = bench.trash._move, iter([True])

    def settle_first(*arguments: Any) -> None:
        for _ in calls:
            bench.trash.settle()
            bench.put("weights.safetensors").write_bytes(b"of the process that has started")
        real(*arguments)

    monkeypatch.setattr(bench.trash, "_move", settle_first)
    bench.trash.discard([bench.output / "weights.safetensors", bench.output / "samples"])
    assert (bench.output / "weights.safetensors").read_bytes() == b"of the process that has started"
    assert not (bench.output / "samples").exists()
    bench.empty()
    assert bench.in_trash == []


def test_a_deletion_gives_up_if_processes_start_all_the_time(bench: TrashBench) -> None:
    with pytest.raises(Conflict, match="start all the time"):
        bench.trash.discard([bench.output], check=bench.trash.settle)
    assert (bench.output / "weights.safetensors").exists()
    assert bench.in_trash == []


@pytest.mark.parametrize("name", ["intent.json", ".intent.json.ab12.tmp", "0"])
def test_a_sweep_removes_what_was_never_decided_or_is_completed(bench: TrashBench, name: str) -> None:
    entry = bench.trash.folder / "0123456789abcdef"
    entry.mkdir(parents=True)
    (entry / name).write_text("{}")
    bench.trash.sweep()
    bench.empty()
    assert bench.in_trash == []
    assert bench.output.is_dir()


#: Dies by SIGKILL at the moment that its second argument names.
KILLED = """
import os, signal, sys
from pathlib import Path
from lorapod.deletion import trash
from lorapod.processes.store.file import FileRecords
from lorapod.workspace import Workspace
root, moment = Path(sys.argv[1]), sys.argv[2]
workspace = Workspace(root=root)
records = FileRecords(workspace.processes)
bin = trash.Trash(workspace, records)
record = records.load(sys.argv[3])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if moment == "before the record":
    records.forget = die
if moment == "before the files":
    trash._renamed = die
if moment == "before the removal":
    trash._REMOVALS.submit = die
bin.discard([workspace.output_folder(record.process_id), workspace.log_path(record.process_id)], record)
"""


@pytest.mark.parametrize("moment", ["before the record", "before the files", "before the removal"])
def test_a_killed_deletion_is_completed_by_the_next_worker(bench: TrashBench, moment: str) -> None:
    bench.workspace.log_path(bench.record.process_id).write_text("log")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(bench.workspace.root), moment, bench.record.process_id],
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert bench.in_trash
    bench.trash.sweep()
    bench.empty()
    assert bench.in_trash == []
    assert bench.records.load(bench.record.process_id) is None
    assert not bench.output.exists()
    assert not bench.workspace.log_path(bench.record.process_id).exists()


def test_a_sweep_leaves_what_was_made_anew_under_the_same_name(bench: TrashBench) -> None:
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED,
            str(bench.workspace.root),
            "before the files",
            bench.record.process_id,
        ],
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    bench.output.rename(bench.output.with_name("elsewhere"))
    again = bench.put("weights.safetensors")
    bench.trash.sweep()
    bench.empty()
    assert again.exists()


def test_a_sweep_leaves_a_process_that_was_resumed_after_the_kill(bench: TrashBench) -> None:
    record = bench.record.changed(process_id="train_ffffffffffff", status=ProcessStatus.INTERRUPTED)
    bench.records.create(record)
    output = bench.workspace.output_folder(record.process_id)
    output.mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(bench.workspace.root), "before the record", record.process_id],
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    bench.records.create(record.moved(ProcessStatus.QUEUED, generation=2))
    bench.trash.sweep()
    bench.empty()
    assert output.is_dir()
    assert bench.records.load(record.process_id) is not None
    assert bench.in_trash == []


def test_a_full_disk_can_be_cleared(bench: TrashBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(trash_module, "write_atomically", full)
    bench.trash.discard([bench.output], bench.record)
    assert not bench.output.exists()
    assert bench.records.load(bench.record.process_id) is None
    assert bench.in_trash == []


def test_another_failure_of_the_volume_deletes_nothing(
    bench: TrashBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, data: bytes) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(trash_module, "write_atomically", read_only)
    with pytest.raises(OSError, match="Read-only"):
        bench.trash.discard([bench.output], bench.record)
    assert (bench.output / "weights.safetensors").exists()
    assert bench.records.load(bench.record.process_id) == bench.record


def test_a_damaged_plan_moves_nothing_and_leaves_the_trash(
    bench: TrashBench, caplog: pytest.LogCaptureFixture
) -> None:
    entry = bench.trash.folder / "damaged"
    entry.mkdir(parents=True)
    write_atomically(entry / "plan.json", b'{"inodes": 5}')
    bench.trash.sweep()
    bench.empty()
    assert bench.in_trash == []
    assert "plan of a deletion cannot be read" in caplog.text
    assert bench.output.is_dir()
