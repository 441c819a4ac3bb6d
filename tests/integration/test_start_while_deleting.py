"""A process that starts on another worker at the moment of a deletion or an edit: one of the two gives way, whole."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.datasets.library_bench import picture

from lorapod.actions.action import RunPodJob
from lorapod.datasets.edits import record, store
from lorapod.processes.launch import LaunchSpec
from lorapod.settings import Settings
from lorapod.testing.manager import SOON_S
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

#: So many steps take a training longer than any test.
_STEPS = 100_000


class WatchingTrainer(ScriptTrainer):
    """A trainer that notes what it finds when it is launched."""

    def __init__(self) -> None:
        self.watch: Callable[[TrainingPlan], None] = lambda _: None

    def launch(self, plan: TrainingPlan, config_path: Path) -> LaunchSpec:
        self.watch(plan)
        return super().launch(plan, config_path)


class Pair:
    """Two workers of one workspace: `one` deletes and edits, on `other` trainings start."""

    def __init__(self, root: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.trainer = WatchingTrainer()
        self.one, self.other = (self._open(root, name) for name in ("one", "other"))
        self.root = self.one.services.workspace.root
        self.dataset = self.root / "training_data" / "cats"
        self.dataset.mkdir()
        (self.dataset / "1.png").write_bytes(picture())
        (self.dataset / "1.txt").write_text("a cat")
        self.begun: list[dict[str, Any]] = []

    def _open(self, root: Path, name: str) -> Worker:
        settings = Settings(
            workspace_path=root / "workspace",
            scratch_path=root / name,
            disk_min_free_bytes=0,
            worker_id=name,
            warm_trainer=False,
            retention="datasets:1h",
        )
        worker = Worker.create(settings, trainers=TrainerRegistry([self.trainer]))
        worker.start()
        return worker

    async def ask(self, worker: Worker, type_: str, **fields: Any) -> dict[str, Any]:
        return await worker.answer({"id": "j", "input": {"type": type_, **fields}}, RunPodJob(job_id="j"))

    def start_on_other(self, type_: str, **fields: Any) -> None:
        """Start a training from another thread; return once it is accepted or refused."""
        asked = self.ask(self.other, type_, **{"wait": False} | fields)
        self.begun.append(asyncio.run_coroutine_threadsafe(asked, self.loop).result(SOON_S))

    async def cancelled(self) -> str:
        """Return a training that was cancelled and has two checkpoints or more."""
        config = {"steps": _STEPS, "save_every": 2, "name": "m"}
        process_id = str((await self.ask(self.one, "train", config=config, wait=False))["process_id"])
        processes = self.one.services.processes
        await processes.wait_until(process_id, lambda record: record.progress.step > 6)
        await self.ask(self.one, "cancel", process_id=process_id)
        await processes.wait_until(process_id, lambda record: record.status.final)
        return process_id

    async def ended(self) -> dict[str, Any]:
        """Cancel the training that has started; return how it ended."""
        process_id = self.begun[0]["process_id"]
        await self.ask(self.other, "cancel", process_id=process_id, save=False)
        await self.other.services.processes.wait_until(process_id, lambda record: record.status.final)
        return await self.ask(self.other, "process_status", process_id=process_id)

    def files(self, *below: str) -> set[str]:
        folder = self.root.joinpath(*below)
        return {
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    opened = Pair(tmp_path, asyncio.get_running_loop())
    yield opened
    for worker in (opened.one, opened.other):
        await asyncio.to_thread(worker.close)


def before(patch: pytest.MonkeyPatch, target: object, name: str, act: Callable[[], None]) -> None:
    """Have `act` called before the first call of a method, in the same thread."""
    real = getattr(target, name)
    first = iter([act])

    def call(*arguments: Any, **named: Any) -> Any:
        for once in first:
            once()
        return real(*arguments, **named)

    patch.setattr(target, name, call)


@pytest.mark.parametrize("keep", ["last:1", None])
async def test_a_resume_just_before_the_last_check_keeps_everything(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, keep: str | None
) -> None:
    process_id = await pair.cancelled()
    found = pair.files("output", process_id)
    before(
        monkeypatch,
        pair.one.services.trash,
        "discard",
        lambda: pair.start_on_other("resume", process_id=process_id),
    )
    answer = await pair.ask(pair.one, "delete", process_id=process_id, **({"keep": keep} if keep else {}))
    assert answer.get("code") == "conflict", answer
    assert found <= pair.files("output", process_id)
    assert (await pair.ended())["status"] == "cancelled"


async def test_a_resume_after_the_last_check_finds_only_what_is_kept(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    process_id = await pair.cancelled()
    resumed_with: list[set[str]] = []
    launched = threading.Event()

    def watch(_plan: TrainingPlan) -> None:
        resumed_with.append(pair.files("output", process_id))
        launched.set()

    def resume() -> None:
        pair.start_on_other("resume", process_id=process_id)
        assert launched.wait(SOON_S)

    pair.trainer.watch = watch
    before(monkeypatch, pair.one.services.trash, "_move", resume)
    answer = await pair.ask(pair.one, "delete", process_id=process_id, keep="last:1")
    assert "error" not in answer, answer
    assert "error" not in pair.begun[0], pair.begun
    (found,) = resumed_with
    assert not found & {
        Path(path).relative_to(f"output/{process_id}").as_posix() for path in answer["deleted"]
    }
    await pair.ended()


async def test_a_resume_in_the_middle_of_a_whole_deletion_wins_or_finds_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    process_id = await pair.cancelled()
    found = pair.files("output", process_id)
    records = pair.one.services.trash._records
    with monkeypatch.context() as patch:
        before(patch, records, "forget", lambda: pair.start_on_other("resume", process_id=process_id))
        answer = await pair.ask(pair.one, "delete", process_id=process_id)
    assert answer.get("code") == "conflict", answer
    assert found <= pair.files("output", process_id)
    await pair.ended()
    forgotten = pair.other.services.processes.get(process_id)
    assert "error" not in await pair.ask(pair.one, "delete", process_id=process_id)
    with monkeypatch.context() as patch:
        # A resume that had read the record before it was deleted.
        patch.setattr(pair.other.services.processes, "get", lambda _: forgotten)
        order = pair.other.services.processes._context.store.orders
        patch.setattr(order, "read", lambda _: b'{"trainer": "script", "config": {}}')
        assert (await pair.ask(pair.other, "resume", process_id=process_id))["code"] == "not_found"
    assert process_id not in pair.other.services.processes._records.live_ids()


@pytest.mark.parametrize("fields", [{"training_name": "cats"}, {"paths": ["training_data/cats/1.png"]}])
async def test_a_training_just_before_the_last_check_keeps_its_dataset(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    train = {"config": {"steps": _STEPS}, "dataset": {"training_name": "cats"}}
    before(monkeypatch, pair.one.services.trash, "discard", lambda: pair.start_on_other("train", **train))
    answer = await pair.ask(pair.one, "delete", **fields)
    assert answer.get("code") == "conflict", answer
    assert pair.files("training_data", "cats") == {"1.png", "1.txt"}
    assert (await pair.ended())["status"] == "cancelled"


async def test_a_training_after_the_last_check_says_that_its_dataset_is_gone(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[TrainingPlan] = []
    pair.trainer.watch = launched.append
    train = {"config": {"steps": _STEPS}, "dataset": {"training_name": "cats"}}
    before(monkeypatch, pair.one.services.trash, "_move", lambda: pair.start_on_other("train", **train))
    answer = await pair.ask(pair.one, "delete", training_name="cats")
    assert answer["deleted"] == ["training_data/cats"]
    process_id = pair.begun[0]["process_id"]
    processes = pair.other.services.processes
    await asyncio.wait_for(processes.wait_until(process_id, lambda record: record.status.final), SOON_S)
    end = await pair.ask(pair.other, "process_status", process_id=process_id)
    assert (end["status"], "'cats' is gone" in end["failure"]["message"]) == ("failed", True), end
    assert not launched


async def test_retention_gives_way_too(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (pair.dataset, *pair.dataset.iterdir()):
        os.utime(path, (0, 0))
    train = {"config": {"steps": _STEPS}, "dataset": {"training_name": "cats"}}
    before(monkeypatch, pair.one.services.trash, "discard", lambda: pair.start_on_other("train", **train))
    await asyncio.to_thread(pair.one.services.retention.sweep)
    assert pair.files("training_data", "cats") == {"1.png", "1.txt"}
    await pair.ended()


async def test_a_training_that_starts_during_an_edit_waits_for_its_end(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = threading.Event()
    lock = pair.dataset.parent / ".edits" / "cats" / ".lock"
    found: list[tuple[bool, str]] = []

    def watch(_plan: TrainingPlan) -> None:
        found.append((lock.exists(), (pair.dataset / "1.txt").read_text()))
        waits.set()

    def start() -> None:
        pair.start_on_other("train", config={"steps": _STEPS}, dataset={"training_name": "cats"})
        assert waits.wait(SOON_S)

    pair.trainer.watch = watch
    kind = pair.other.services.processes.kinds["train"]
    before(monkeypatch, kind, "settle_edits", waits.set)
    before(monkeypatch, record, "exchange", start)
    answer = await pair.ask(pair.one, "edit_dataset", training_name="cats", captions={"1.png": "new"})
    assert "error" not in answer, answer
    process_id = pair.begun[0]["process_id"]
    await pair.other.services.processes.wait_until(process_id, lambda record: record.status == "running")
    assert found == [(False, "new")]
    await pair.ended()


async def test_a_dataset_that_is_edited_or_copied_is_not_deleted(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[dict[str, Any]] = []

    def delete() -> None:
        asked = pair.ask(pair.other, "delete", training_name="cats")
        answers.append(asyncio.run_coroutine_threadsafe(asked, pair.loop).result(SOON_S))

    for fields in ({"captions": {"1.png": "new"}}, {"captions": {"1.png": "newer"}, "copy": "cats 2"}):
        with monkeypatch.context() as patch:
            before(patch, store, "_check_unchanged", delete)
            edit = {"training_name": "cats", **fields}
            assert "error" not in await pair.ask(pair.one, "edit_dataset", **edit)
    assert [(answer["code"], "edited" in answer["error"]) for answer in answers] == [("conflict", True)] * 2
    assert pair.files("training_data", "cats 2") == {"1.png", "1.txt"}


async def test_an_edit_that_comes_after_a_deletion_finds_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[dict[str, Any]] = []

    def edit() -> None:
        asked = pair.ask(pair.other, "edit_dataset", training_name="cats", captions={"1.png": "new"})
        answers.append(asyncio.run_coroutine_threadsafe(asked, pair.loop).result(SOON_S))

    before(monkeypatch, pair.one.services.trash, "_move", edit)
    assert "error" not in await pair.ask(pair.one, "delete", training_name="cats")
    assert answers[0]["code"] == "not_found"
    assert not pair.dataset.exists()


async def test_a_copy_must_have_a_name_of_its_own(pair: Pair) -> None:
    answer = await pair.ask(
        pair.one, "edit_dataset", training_name="cats", captions={"1.png": "new"}, copy="cats"
    )
    assert (answer["code"], "already" in answer["error"]) == ("conflict", True), answer
    assert (pair.dataset / "1.txt").read_text() == "a cat"
