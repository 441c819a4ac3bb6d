"""`delete` through a whole worker with real children: what runs, is used or is unsent stays, the rest goes whole."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.datasets.library_bench import picture

from lorapod.actions import delete
from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

ENDED = {"completed", "failed", "cancelled", "interrupted"}


class Desk:
    """A worker, and what tests ask it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.root = worker.services.workspace.root

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        return await self.worker.answer(
            {"id": "job", "input": {"type": type_, **fields}}, RunPodJob(job_id="job")
        )

    def dataset(self, name: str = "cats") -> Path:
        folder = self.root / "training_data" / name
        folder.mkdir()
        (folder / "1.png").write_bytes(picture())
        (folder / "1.txt").write_text("a cat")
        return folder

    async def trained(self, **config: Any) -> str:
        end = await self.ask("train", config={"steps": 6, "save_every": 2} | config, wait=True)
        assert end["status"] == "completed", end
        return str(end["process_id"])

    async def training(self, **fields: Any) -> str:
        """Return a training that runs until it is cancelled."""
        begun = await self.ask("train", **{"config": {"steps": 100_000}, "wait": False} | fields)
        process_id = str(begun["process_id"])
        await self.reach(process_id, "running")
        return process_id

    async def reach(self, process_id: str, status: str) -> None:
        await self.worker.services.processes.wait_until(process_id, lambda record: record.status == status)

    def weights(self, process_id: str) -> list[str]:
        return sorted(path.name for path in (self.root / "output" / process_id).rglob("*.safetensors"))

    @property
    def everything(self) -> set[str]:
        """All files that are not the worker's own."""
        found = set()
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found |= {
                str(Path(folder, name).relative_to(self.root)) for name in names if not name.startswith(".")
            }
        return found


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    settings = Settings(
        workspace_path=tmp_path / "workspace", scratch_path=tmp_path / "scratch", disk_min_free_bytes=0
    )
    opened = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    opened.start()
    yield Desk(opened)
    await asyncio.to_thread(opened.close)


async def test_a_process_goes_with_its_outputs_log_and_record(desk: Desk) -> None:
    stays, gone = await desk.trained(), await desk.trained()
    before = desk.everything
    plan = await desk.ask("delete", process_id=gone, dry_run=True)
    assert desk.everything == before
    answer = await desk.ask("delete", process_id=gone)
    assert plan == answer | {"dry_run": True}
    assert answer["deleted"] == [f"logs/{gone}.log", f"output/{gone}", f"processes/{gone}"]
    assert answer["freed_bytes"] > 0
    assert desk.everything == {path for path in before if gone not in path}
    assert (await desk.ask("process_status", process_id=gone))["code"] == "not_found"
    assert [each["process_id"] for each in (await desk.ask("processes"))["processes"]] == [stays]
    assert (await desk.ask("delete", process_id=gone))["code"] == "not_found"


async def test_what_its_worker_still_completes_is_deleted_a_moment_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = await desk.trained()
    processes = desk.worker.services.processes
    answers = iter([True, True])
    monkeypatch.setattr(type(processes), "holds", lambda *_: next(answers, False))
    answer = await desk.ask("delete", process_id=gone)
    assert f"output/{gone}" in answer.get("deleted", ()), answer


async def test_what_a_killed_worker_was_writing_goes_with_its_process(desk: Desk) -> None:
    process_id = await desk.trained()
    half = desk.root / "models" / ".incoming" / process_id / "model"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half of it")
    answer = await desk.ask("delete", process_id=process_id)
    assert f"models/.incoming/{process_id}" in answer["deleted"]
    assert not half.parent.exists()


async def test_what_was_deleted_can_be_ordered_again_under_its_key(desk: Desk) -> None:
    order = {"config": {"steps": 2}, "wait": True, "idempotency_key": "mine"}
    first = await desk.ask("train", **order)
    deleted = await desk.ask("delete", process_id=first["process_id"])
    assert "error" not in deleted, deleted
    again = await desk.ask("train", **order)
    assert again["status"] == "completed"
    assert again["process_id"] != first["process_id"]


@pytest.mark.parametrize(
    ("keep", "left", "resumable"),
    [
        ("final", ["m.safetensors"], True),
        ("last:2", ["m.safetensors", "m_000000006.safetensors"], True),
        ("steps:[2, 6]", ["m_000000002.safetensors", "m_000000006.safetensors"], True),
        ("steps:[2, 4]", ["m_000000002.safetensors", "m_000000004.safetensors"], False),
        ("last:99", ["m.safetensors", *(f"m_00000000{step}.safetensors" for step in (2, 4, 6))], True),
    ],
)
async def test_a_process_keeps_what_its_caller_names(
    desk: Desk, keep: str, left: list[str], *, resumable: bool
) -> None:
    process_id = await desk.trained(name="m")
    optimizer = desk.root / "output" / process_id / "m" / "optimizer.pt"
    optimizer.write_bytes(b"x" * 100)
    plan = await desk.ask("delete", process_id=process_id, keep=keep, dry_run=True)
    answer = await desk.ask("delete", process_id=process_id, keep=keep)
    assert plan == answer | {"dry_run": True}
    assert desk.weights(process_id) == sorted(left)
    assert optimizer.exists() == resumable
    assert (f"output/{process_id}/m/optimizer.pt" in answer["deleted"]) != resumable
    assert ["without the optimizer's state" in one for one in answer["warnings"]] == [True] * (not resumable)
    status = await desk.ask("process_status", process_id=process_id, log_tail=3)
    assert [Path(each["path"]).name for each in status["checkpoints"]] == sorted(
        left, key=lambda name: ("_" not in name, name)
    )
    assert status["log_tail"]


async def test_an_optimizer_that_was_never_there_is_no_loss(desk: Desk) -> None:
    process_id = await desk.trained(name="m")
    assert (await desk.ask("delete", process_id=process_id, keep="steps:[2]"))["warnings"] == []


async def test_a_training_that_can_go_on_keeps_its_optimizer(desk: Desk) -> None:
    process_id = await desk.training(config={"steps": 100_000, "save_every": 2, "name": "m"})
    processes = desk.worker.services.processes
    await processes.wait_until(process_id, lambda record: record.progress.step > 6)
    await desk.ask("cancel", process_id=process_id)
    await desk.reach(process_id, "cancelled")
    optimizer = desk.root / "output" / process_id / "m" / "optimizer.pt"
    optimizer.write_bytes(b"x")
    answer = await desk.ask("delete", process_id=process_id, keep="last:1")
    assert "error" not in answer
    assert optimizer.exists()
    assert len(desk.weights(process_id)) == 1
    assert "error" not in await desk.ask("resume", process_id=process_id, wait=False)
    await processes.wait_until(process_id, lambda record: (record.resumed_from_step or 0) > 0)
    await desk.ask("cancel", process_id=process_id)


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({}, "invalid_input", "exactly one"),
        ({"process_id": "train_0123456789ab", "paths": ["a"]}, "invalid_input", "exactly one"),
        ({"training_name": "cats", "keep": "final"}, "invalid_input", "keep belongs to process_id"),
        ({"process_id": "train_0123456789ab", "keep": "some"}, "invalid_input", "last:3"),
        ({"process_id": "train_0123456789ab", "keep": 5}, "invalid_input", "last:3"),
        ({"process_id": "train_0123456789ab", "keep": {"last": -1}}, "invalid_input", "last:3"),
        ({"process_id": "train_0123456789ab"}, "not_found", "train_0123456789ab"),
        ({"training_name": "dogs"}, "not_found", "dogs"),
        ({"training_name": "../output"}, "invalid_input", "plain name"),
        ({"model": "nothing"}, "not_found", "nothing"),
        ({"paths": []}, "invalid_input", "paths"),
        ({"paths": ["training_data/cats/9.png"]}, "not_found", "9.png"),
        ({"paths": ["training_data/cats/1.png", "../../etc/passwd"]}, "unsafe_path", "outside"),
        ({"paths": ["/etc/passwd"]}, "unsafe_path", "outside"),
        ({"paths": ["a\0b"]}, "unsafe_path", "NUL"),
        ({"paths": ["."]}, "invalid_input", "the workspace itself"),
        ({"paths": ["output/../training_data"]}, "invalid_input", "the workspace itself"),
        ({"paths": ["models"]}, "invalid_input", "the workspace itself"),
        ({"paths": ["processes/.live"]}, "invalid_input", "state of a process"),
        ({"paths": [".trash"]}, "invalid_input", "worker's own"),
        ({"paths": ["training_data/.incoming"]}, "invalid_input", "worker's own"),
    ],
)
async def test_bad_input_changes_nothing(desk: Desk, fields: dict[str, Any], code: str, words: str) -> None:
    desk.dataset()
    (desk.root / "training_data" / ".incoming").mkdir(exist_ok=True)
    (desk.root / ".trash").mkdir(exist_ok=True)
    before = desk.everything
    answer = await desk.ask("delete", **fields)
    assert answer["code"] == code, answer
    assert words in answer["error"]
    assert desk.everything == before


async def test_what_is_kept_must_exist(desk: Desk) -> None:
    process_id = await desk.trained(name="m")
    answer = await desk.ask("delete", process_id=process_id, keep="steps:[4,5]")
    assert (answer["code"], answer["hint"]) == ("conflict", "It has steps 2, 4, 6.")
    assert len(desk.weights(process_id)) == 4


async def test_what_runs_or_is_read_stays(desk: Desk) -> None:
    desk.dataset()
    model = desk.root / "models" / "checkpoints" / "base.safetensors"
    model.parent.mkdir()
    model.write_bytes(b"x")
    process_id = await desk.training(
        config={"steps": 100_000, "base": "base.safetensors"}, dataset={"training_name": "cats"}
    )
    before = desk.everything
    for fields in (
        {"process_id": process_id},
        {"process_id": process_id, "keep": "last:1"},
        {"training_name": "cats"},
        {"paths": ["training_data/cats/1.png"]},
        {"paths": [f"output/{process_id}"]},
        {"paths": [f"logs/{process_id}.log"]},
        {"model": "base"},
    ):
        answer = await desk.ask("delete", **fields)
        assert answer["code"] == "conflict", (fields, answer)
        assert process_id in answer["error"] + answer["hint"]
    assert before <= desk.everything
    await desk.ask("cancel", process_id=process_id, save=False)


async def test_a_dataset_a_model_and_files_go(desk: Desk) -> None:
    desk.dataset()
    dogs = desk.dataset("dogs")
    model = desk.root / "models" / "loras" / "base.safetensors"
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(b"x" * 10)
    link = desk.root / "models" / "loras" / "link"
    link.symlink_to(dogs)
    assert (await desk.ask("delete", training_name="cats"))["deleted"] == ["training_data/cats"]
    answer = await desk.ask("delete", model="base", kind="lora")
    assert (answer["deleted"], answer["freed_bytes"]) == (["models/loras/base.safetensors"], 10)
    answer = await desk.ask(
        "delete", paths=["training_data/dogs/1.png", "training_data/dogs", "models/loras/link"]
    )
    assert answer["deleted"] == ["models/loras/link", "training_data/dogs"]
    assert not desk.everything


async def test_what_is_still_to_be_sent_stays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete, "SENDING_S", 0.2)
    process_id = await desk.trained()
    marks = desk.root / "processes" / ".uploads"
    marks.mkdir(exist_ok=True)
    (marks / process_id).write_text("another 1")
    for fields in ({"process_id": process_id}, {"paths": [f"output/{process_id}"]}):
        answer = await desk.ask("delete", **fields)
        assert (answer["code"], "uploaded" in answer["error"]) == ("conflict", True)
    (marks / process_id).unlink()
    assert "error" not in await desk.ask("delete", process_id=process_id)
