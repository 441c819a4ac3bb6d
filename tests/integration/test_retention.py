"""What the worker deletes by itself: by age and by number, never what `delete` refuses."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.testing.manager import SOON_S
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

OpenWorker = Callable[[str], Worker]


@pytest.fixture
async def open_worker(tmp_path: Path) -> AsyncIterator[OpenWorker]:
    opened: list[Worker] = []

    def open_(retention: str) -> Worker:
        settings = Settings(
            workspace_path=tmp_path / "workspace",
            scratch_path=tmp_path / "scratch",
            disk_min_free_bytes=0,
            retention=retention,
        )
        opened.append(Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()])))
        opened[-1].start()
        return opened[-1]

    yield open_
    for worker in opened:
        await asyncio.to_thread(worker.close)


async def ask(worker: Worker, type_: str, **fields: Any) -> dict[str, Any]:
    return await worker.answer(
        {"id": "job", "input": {"type": type_, **fields}}, RunPodJob(job_id=os.urandom(4).hex())
    )


async def trained(worker: Worker) -> str:
    end = await ask(worker, "train", config={"steps": 4, "save_every": 2, "name": "m"}, wait=True)
    assert end["status"] == "completed", end
    async with asyncio.timeout(SOON_S):
        while not worker.services.courier.finished(end["process_id"]):  # noqa: ASYNC110 - nothing reports it
            await asyncio.sleep(0.02)
    return str(end["process_id"])


def aged(path: Path, days: float) -> Path:
    moment = time.time() - days * 24 * 3600
    for one in (path, *path.rglob("*")):
        os.utime(one, (moment, moment))
    return path


def age_record(worker: Worker, process_id: str, days: float) -> None:
    records = worker.services.processes._records
    record = records.load(process_id)
    assert record is not None
    assert record.ended_at is not None
    records.save(record.changed(ended_at=record.ended_at - timedelta(days=days)))


def log_of(worker: Worker) -> list[dict[str, Any]]:
    lines = (worker.services.workspace.logs / "retention.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


async def test_nothing_is_deleted_unless_it_is_set(open_worker: OpenWorker) -> None:
    worker = open_worker("")
    process_id = await trained(worker)
    age_record(worker, process_id, 1000)
    worker.services.retention.sweep()
    assert (await ask(worker, "process_status", process_id=process_id))["status"] == "completed"
    assert "retention" not in {check["name"] for check in (await ask(worker, "health"))["checks"]}


async def test_trainings_go_by_number_the_oldest_first(open_worker: OpenWorker) -> None:
    worker = open_worker("trainings:last:2")
    ids = [await trained(worker) for _ in range(4)]
    worker.services.retention.sweep()
    left = [each["process_id"] for each in (await ask(worker, "processes"))["processes"]]
    assert left == [ids[3], ids[2]]
    assert [(line["rule"], line["what"]) for line in log_of(worker)] == [
        ("trainings:last:2", ids[1]),
        ("trainings:last:2", ids[0]),
    ]
    assert all(line["freed_bytes"] > 0 for line in log_of(worker))


async def test_checkpoints_of_old_trainings_go_but_for_the_last(open_worker: OpenWorker) -> None:
    worker = open_worker("checkpoints:7d, trainings:30d")
    old, new, gone = [await trained(worker) for _ in range(3)]
    age_record(worker, old, 8)
    age_record(worker, new, 6)
    age_record(worker, gone, 31)
    worker.services.retention.sweep()
    output = worker.services.workspace.output
    assert [path.name for path in (output / old).rglob("*.safetensors")] == ["m.safetensors"]
    assert len(list((output / new).rglob("*.safetensors"))) == 3
    assert not (output / gone).exists()
    before = len(log_of(worker))
    worker.services.retention.sweep()
    assert len(log_of(worker)) == before


async def test_datasets_go_by_their_last_change_unless_a_training_reads_them(open_worker: OpenWorker) -> None:
    worker = open_worker("datasets:90d, archives:12h")
    data = worker.services.workspace.training_data
    for name in ("old", "new", "read", "late"):
        (data / name).mkdir()
        (data / name / "1.txt").write_text("a")
    for name in ("old", "read", "late"):
        aged(data / name, 91)
    (data / "late" / "1.txt").write_text("changed")
    archive = worker.services.workspace.output / "archives" / "a.zip"
    archive.parent.mkdir()
    archive.write_text("x")
    os.utime(archive, (0, 0))
    begun = await ask(worker, "train", config={"steps": 100_000, "uses": "training_data/read"}, wait=False)
    worker.services.retention.sweep()
    assert sorted(path.name for path in data.iterdir()) == ["late", "new", "read"]
    assert not archive.exists()
    await ask(worker, "cancel", process_id=begun["process_id"], save=False)


async def test_health_tells_what_is_deleted(open_worker: OpenWorker) -> None:
    worker = open_worker("trainings:30d,generations:last:50")
    (check,) = [each for each in (await ask(worker, "health"))["checks"] if each["name"] == "retention"]
    assert check["ok"]
    assert "trainings:30d, generations:last:50" in check["detail"]


async def test_a_worker_begins_to_delete_when_it_starts(
    open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = open_worker("archives:1h")
    swept = asyncio.Event()
    loop = asyncio.get_running_loop()
    retention = worker.services.retention
    monkeypatch.setattr(retention, "sweep", lambda: loop.call_soon_threadsafe(swept.set))
    retention.start()
    await asyncio.wait_for(swept.wait(), 10)


@pytest.mark.parametrize(
    "text",
    ["everything:1d", "trainings", "trainings:0d", "trainings:30", "checkpoints:last:3", "trainings:last:0"],
)
def test_a_rule_that_cannot_be_meant_is_refused(open_worker: OpenWorker, text: str) -> None:
    with pytest.raises(ValueError, match=r"rule|checkpoints"):
        open_worker(text)
