"""What a pass of retention reads: little, and it deletes exactly what it would delete if it read everything."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from lorapod.clock import Clock
from lorapod.deletion.keep import KeepRule
from lorapod.deletion.plan import DeletionPlan, DeletionPlanner
from lorapod.deletion.retention import Retention
from lorapod.deletion.trash import Trash
from lorapod.processes.changes import ChangeQueue
from lorapod.processes.registry import ProcessRegistry
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.setting_groups.retention import RetentionSettings
from lorapod.testing.clock import FakeClock
from lorapod.testing.records import make_record
from lorapod.testing.store import MemoryRecords
from lorapod.volume.artifacts import checkpoints
from lorapod.workspace import Workspace

ENDS = (ProcessStatus.COMPLETED, ProcessStatus.FAILED, ProcessStatus.INTERRUPTED)


class CountedRecords(MemoryRecords):
    """Records that count how often one is read, and may be damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.damaged: set[str] = set()

    def load(self, process_id: str) -> ProcessRecord | None:
        self.reads += 1
        return None if process_id in self.damaged else super().load(process_id)


class Volume:
    """A workspace with records, and the deletions of one retention."""

    def __init__(self, root: Path, rules: str) -> None:
        self.workspace = Workspace.create(root)
        self.records = CountedRecords()
        self.clock = FakeClock()
        self.rules = RetentionSettings(retention=rules).retention
        self.deleted: list[str] = []
        self.worker = self.open_worker()

    def open_worker(self) -> Retention:
        """Return the retention of a worker that has just started."""
        return Retention(
            self.rules,
            workspace=self.workspace,
            clock=cast("Clock", self.clock),
            processes=ProcessRegistry(self.records, ChangeQueue(lambda _: None)),
            planner=cast("DeletionPlanner", self),
            trash=cast("Trash", self),
        )

    def of_process(self, process_id: str, keep: KeepRule | None = None) -> DeletionPlan:
        record = self.records.load(process_id)
        assert record is not None
        found = checkpoints(record.run_folder(self.workspace), record.name)
        kept = [] if keep is None else keep.choose(found)
        paths = [one.path for one in found if one not in kept]
        return DeletionPlan(paths=paths, size_bytes=0, process=record, forgets=keep is None)

    def check_unused(self, plan: DeletionPlan) -> None:
        """Find nobody."""

    def discard(
        self, paths: Sequence[Path], record: ProcessRecord | None, *, check: Callable[[], None]
    ) -> None:
        del check
        self.deleted += sorted(path.name for path in paths) if record is None else [record.process_id]
        for path in paths:
            path.unlink()
        if record is not None:
            self.records.forget(record)

    def due(self) -> list[str]:
        """Return what the rules delete, by every record and every folder of checkpoints."""
        gone: list[str] = []
        for rule in self.rules:
            kind = "generate" if rule.what == "generations" else "train"
            kept = 0
            for process_id in self.records.ids():
                record = self.records.load(process_id)
                if record is None or not record.status.final or record.type != kind or process_id in gone:
                    continue
                kept += 1
                old = timedelta(seconds=rule.max_age_s or 0) < self.clock.now() - (
                    record.ended_at or record.created_at
                )
                if (kept > rule.newest) if rule.newest is not None else old:
                    found = checkpoints(record.run_folder(self.workspace), record.name)
                    if rule.what != "checkpoints":
                        gone.append(process_id)
                    elif len(found) > 1:
                        gone += sorted(one.path.name for one in found[:-1])
        return gone

    def add(self, number: int, kind: str, rng: random.Random) -> None:
        process_id = f"{kind}_{number:012x}"
        now = self.clock.now()
        self.records.create(
            make_record(
                process_id=process_id,
                type=kind,
                name=f"m{number}",
                folder="m",
                status=ProcessStatus.QUEUED,
                created_at=now,
            )
        )
        if rng.random() < 0.8:
            self.end(process_id, rng)

    def end(self, process_id: str, rng: random.Random) -> None:
        record = self.records.load(process_id)
        if record is None or record.status.final:
            return
        self.records.save(record.changed(status=rng.choice(ENDS), ended_at=self.clock.now()))
        if record.type == "train":
            folder = record.run_folder(self.workspace)
            folder.mkdir(parents=True, exist_ok=True)
            for step in range(rng.randrange(4)):
                (folder / f"{record.name}_{record.generation * 10 + step:09}.safetensors").write_bytes(b"x")

    def change(self, rng: random.Random) -> None:
        """Let an hour or some days pass in which processes begin, end, are resumed and are damaged."""
        self.clock.advance(rng.choice([3600, 5 * 3600, 24 * 3600]))
        for process_id in self.records.ids():
            record = self.records.load(process_id)
            what = rng.random()
            if record is None:
                continue
            if not record.status.final and what < 0.5:
                self.end(process_id, rng)
            elif record.status.unfinished and what < 0.3:
                self.records.create(
                    record.moved(ProcessStatus.QUEUED, generation=record.generation + 1, ended_at=None)
                )
                if what < 0.2:
                    self.end(process_id, rng)
            elif record.status.final and what > 0.97:
                self.records.damaged.add(process_id)


RULES = [
    "trainings:2d",
    "trainings:last:7",
    "generations:last:3, trainings:3d",
    "checkpoints:12h, trainings:last:12",
    "checkpoints:1d, generations:1d",
]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", range(4))
def test_it_deletes_what_it_would_delete_if_it_read_everything(tmp_path: Path, rules: str, seed: int) -> None:
    rng = random.Random(seed)
    volume = Volume(tmp_path / "workspace", rules)
    number = deleted = 0
    for _ in range(12):
        for _ in range(rng.randrange(8)):
            number += 1
            volume.add(number, rng.choice(["train", "train", "generate"]), rng)
        expected = volume.due()
        volume.deleted.clear()
        # Now and then another worker, which knows what the volume keeps.
        (volume.open_worker() if rng.random() < 0.3 else volume.worker).sweep()
        assert volume.deleted == expected
        deleted += len(expected)
        volume.change(rng)
    assert deleted


@pytest.mark.parametrize("rules", ["trainings:30d", "trainings:last:100", "checkpoints:1h"])
def test_a_pass_without_news_reads_no_record(tmp_path: Path, rules: str) -> None:
    rng = random.Random(1)
    volume = Volume(tmp_path / "workspace", rules)
    for number in range(30):
        volume.add(number, "train", rng)
    for process_id in volume.records.ids():
        volume.end(process_id, rng)
    volume.clock.advance(7200)
    volume.worker.sweep()
    volume.worker.sweep()
    assert volume.records.reads >= 30
    for worker in (volume.worker, volume.open_worker()):
        volume.records.reads = 0
        worker.sweep()
        assert volume.records.reads == 0


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 5}', b"\xff"])
def test_what_is_kept_may_be_damaged(tmp_path: Path, content: bytes) -> None:
    volume = Volume(tmp_path / "workspace", "trainings:1d")
    volume.add(1, "train", random.Random(3))
    volume.end("train_000000000001", random.Random(3))
    volume.worker.sweep()
    (volume.workspace.processes / ".retention.json").write_bytes(content)
    volume.clock.advance(48 * 3600)
    volume.open_worker().sweep()
    assert volume.deleted == ["train_000000000001"]


def test_a_full_disk_costs_only_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lorapod.deletion.known_ends.replace_file", full)
    volume = Volume(tmp_path / "workspace", "trainings:1d")
    volume.add(1, "train", random.Random(3))
    volume.end("train_000000000001", random.Random(3))
    volume.clock.advance(48 * 3600)
    volume.worker.sweep()
    assert volume.deleted == ["train_000000000001"]
