"""Trainings that end once their samples get no more like their dataset; the samples are written by the tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import embedding_script

from lorapod.comparisons.embedding.models import EmbeddingModels
from lorapod.comparisons.sample_likeness import measure, source
from lorapod.comparisons.sample_likeness.learnt import dataset_images
from lorapod.comparisons.sample_likeness.source import SampleLikenessSource
from lorapod.deadline import Deadline
from lorapod.errors import InvalidInput, NotFound, Unsupported
from lorapod.model_paths import ModelPaths
from lorapod.processes import run
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TrainingOrder
from lorapod.processes.requests import ControlRequest
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.records.status import Phase, ProcessStatus
from lorapod.testing.manager import ended, open_manager, until
from lorapod.trainers import early_stop
from lorapod.volume.curves import latest_values, read_curves
from lorapod.workspace import Workspace

PROMPTS = ["[trigger] on a beach", "a house", "[trigger] at night"]
STEPS = 1_000_000


@dataclass(kw_only=True)
class Bench:
    """Managers on one workspace."""

    workspace: Workspace
    opened: list[RealProcessManager] = field(default_factory=list)

    def open(self, worker_id: str = "worker-1") -> RealProcessManager:
        manager = open_manager(self.workspace.root, worker_id=worker_id, likeness=self.source())
        self.opened.append(manager)
        return manager

    def source(self, embedding_model: str | None = "models/dino") -> SampleLikenessSource:
        models = EmbeddingModels(
            paths=ModelPaths(workspace=self.workspace, folders=[]),
            hub_cache=self.workspace.root / "hub",
            offline=True,
            embedding_model=embedding_model,
        )
        scratch = self.workspace.root.parent / "scratch"
        return SampleLikenessSource(workspace=self.workspace, models=models, scratch=scratch)

    def order(self, stop_when: Mapping[str, Any] = {}, **sample: Any) -> TrainingOrder:
        wanted = {"no_better": "likeness", "patience": 2, "min_improvement": 0.0, "from_step": 0}
        process = {
            "trigger_word": "mycat",
            "datasets": [{"folder_path": str(self.workspace.training_data / "cats")}],
            "sample": {"prompts": PROMPTS, "sample_every": 10, **sample},
        }
        config = {"steps": STEPS, "trigger_word": "mycat", "config": {"process": [process]}}
        return TrainingOrder(trainer="script", config=config, stop_when={**wanted, **stop_when})

    def draw(self, record: ProcessRecord, step: int, *values: object) -> None:
        """Write one sample of each prompt, as a trainer does."""
        folder = record.run_folder(self.workspace) / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        for index, value in enumerate(values):
            (folder / f"{time.time_ns() // 1_000_000}__{step:09d}_{index}.jpg").write_text(str(value))

    def scratch(self, record: ProcessRecord) -> Path:
        return self.workspace.root.parent / "scratch" / record.process_id

    def series(self, record: ProcessRecord) -> list[tuple[int, float]]:
        return list(read_curves(record, self.workspace).get("likeness", []))

    async def begin(self, manager: RealProcessManager, **stop_when: Any) -> ProcessRecord:
        """Start a training, and wait until its trainer is at work."""
        record = manager.submit("train", self.order(stop_when)).record
        return await until(manager, record, at_work)

    async def measured(self, manager: RealProcessManager, record: ProcessRecord, *steps: int) -> None:
        """Wait until these steps are measured."""
        await until(manager, record, lambda _: [step for step, _ in self.series(record)] == list(steps))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(early_stop, "LOOK_S", 0.0)
    monkeypatch.setattr(run, "TICK_S", 0.05)
    monkeypatch.setattr(
        measure,
        "embedding_command",
        lambda job: LaunchSpec(
            argv=(sys.executable, "-S", str(embedding_script.__file__), str(job)), cwd=job.parent
        ),
    )
    workspace = Workspace.create(tmp_path / "workspace")
    (workspace.training_data / "cats").mkdir()
    for number in range(2):
        (workspace.training_data / "cats" / f"{number}.png").write_text("1.0")
    model = workspace.models / "dino"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_text("")
    made = Bench(workspace=workspace)
    yield made
    for manager in made.opened:
        manager.close(Deadline.after(5))


def at_work(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.RUNNING and record.phase is Phase.TRAINING


def training_of(record: ProcessRecord) -> TrainingDetails:
    assert record.training is not None
    return record.training


async def test_it_ends_with_a_checkpoint_once_its_samples_get_no_more_like_the_dataset(bench: Bench) -> None:
    manager = bench.open()
    record = await bench.begin(manager)
    bench.draw(record, 0, 0.1, 0.9, 0.1)
    bench.draw(record, 10, 0.4, 0.9, 0.2)
    # A set that is not whole is no look; the second prompt lacks the trigger word, so it is not looked at.
    bench.draw(record, 20, 0.9, 0.9)
    await bench.measured(manager, record, 0, 10)
    assert bench.series(record) == [(0, 0.1), (10, 0.3)]
    bench.draw(record, 30, 0.3, 0.0, 0.3)
    await bench.measured(manager, record, 0, 10, 30)
    now = await until(manager, record, lambda now: training_of(now).best_step == 10)
    assert now.status is ProcessStatus.RUNNING, "one look without improvement is not enough"
    bench.draw(record, 40, 0.2, 1.0, 0.2)
    end = await ended(manager, record)
    assert (end.status, end.reason) == (ProcessStatus.CANCELLED, "no_improvement")
    assert end.reason_detail == (
        "The likeness was best at step 10 (0.3); the 2 looks since then were no better."
    )
    assert training_of(end).best_step == 10
    assert list(end.run_folder(bench.workspace).glob("*.safetensors"))
    assert latest_values(end, bench.workspace)["likeness"] == 0.2


async def test_a_resume_continues_the_series_and_forgets_samples_of_weights_that_are_gone(
    bench: Bench,
) -> None:
    manager = bench.open()
    record = await bench.begin(manager, patience=1)
    bench.draw(record, 1, 0.5, 0, 0.5)
    bench.draw(record, 2, 0.4, 0, 0.4)
    first = await ended(manager, record)
    assert first.reason == "no_improvement"
    # After the newest checkpoint, from which the next run goes on.
    bench.draw(record, STEPS - 1, 0.1, 0, 0.1)
    again = manager.resume(record.process_id).record
    assert (again.reason, again.reason_detail) == (None, None)
    running = await until(manager, record, at_work)
    step = running.resumed_from_step or running.progress.step
    bench.draw(record, step + 10, 0.6, 0, 0.6)
    await bench.measured(manager, record, 1, 2, step + 10)
    bench.draw(record, step + 20, 0.6, 0, 0.5)
    second = await ended(manager, record)
    assert (second.reason, training_of(second).best_step) == ("no_improvement", step + 10)
    assert [each for each, _ in bench.series(record)] == [1, 2, step + 10, step + 20]


async def test_looks_before_a_person_s_resume_do_not_end_it_after_its_worker_has_died(bench: Bench) -> None:
    first = bench.open()
    record = await bench.begin(first, patience=1)
    bench.draw(record, 1, 0.5, 0, 0.5)
    bench.draw(record, 2, 0.4, 0, 0.4)
    await ended(first, record)
    first.resume(record.process_id)
    running = await until(first, record, at_work)
    since = training_of(running).looks_since
    assert since > 2
    first.close(Deadline.after(5))
    second = bench.open("worker-2")
    assert second.get(record.process_id).status is ProcessStatus.INTERRUPTED
    second.resume(record.process_id, unasked=True)
    running = await until(second, record, at_work)
    assert training_of(running).looks_since == since
    step = running.progress.step
    # This look is better: the training goes on.
    bench.draw(record, step + 10, 0.6, 0, 0.6)
    await bench.measured(second, record, 1, 2, step + 10)
    assert second.get(record.process_id).status is ProcessStatus.RUNNING


async def test_a_worker_that_dies_while_it_measures_loses_no_look(bench: Bench) -> None:
    first = bench.open()
    record = await bench.begin(first)
    bench.draw(record, 0, 0.5, 0, 0.5)
    await bench.measured(first, record, 0)
    bench.draw(record, 1, "hang", 0, "hang")
    hanging = bench.scratch(record) / "hanging"
    await until(first, record, lambda _: hanging.exists())
    first.close(Deadline.after(5))
    assert not measuring(bench, record)
    bench.draw(record, 1, 0.7, 0, 0.7)
    second = bench.open("worker-2")
    second.resume(record.process_id, unasked=True)
    await bench.measured(second, record, 0, 1)


async def test_a_child_that_breaks_costs_the_looks_and_not_the_training(bench: Bench) -> None:
    manager = bench.open()
    record = await bench.begin(manager, patience=1)
    bench.draw(record, 0, "crash", 0, "crash")
    now = await until(manager, record, lambda now: len(training_of(now).warnings) == 2)
    first, last = training_of(now).warnings
    assert "samples of step 0 could not be measured: the child ended with code 3: it broke" in first
    assert "The training continues, and the worker tries again." in first
    assert "3 times in a row" in last
    bench.draw(record, 0, 0.5, 0, 0.5)
    reached = now.progress.step
    now = await until(manager, record, lambda now: now.progress.step > reached + 20)
    assert (now.status, bench.series(record)) == (ProcessStatus.RUNNING, [])
    # The next run tries again.
    manager.ask(record.process_id, ControlRequest(save=True, grace_s=5))
    await ended(manager, record)
    manager.resume(record.process_id)
    await bench.measured(manager, record, 0)


async def test_a_training_that_ends_takes_its_measuring_along(bench: Bench) -> None:
    manager = bench.open()
    record = await bench.begin(manager)
    bench.draw(record, 0, "hang", 0, "hang")
    hanging = bench.scratch(record) / "hanging"
    await until(manager, record, lambda _: hanging.exists())
    assert measuring(bench, record)
    manager.ask(record.process_id, ControlRequest(save=False, grace_s=5))
    assert (await ended(manager, record)).status is ProcessStatus.CANCELLED
    assert not measuring(bench, record)


async def test_a_folder_that_cannot_be_read_for_a_while_costs_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = False

    def read(*arguments: Any) -> Any:
        if away:
            raise OSError(116, "Stale file handle")
        return dataset_images(*arguments)

    monkeypatch.setattr(source, "dataset_images", read)
    manager = bench.open()
    record = await bench.begin(manager)
    away = True
    bench.draw(record, 0, 0.5, 0, 0.5)
    log = bench.workspace.log_path(record.process_id)
    await until(manager, record, lambda _: "cannot be measured now" in log.read_text())
    reached = manager.get(record.process_id).progress.step
    await until(manager, record, lambda now: now.progress.step > reached + 20)
    assert log.read_text().count("cannot be measured now") == 1
    away = False
    await bench.measured(manager, record, 0)
    assert training_of(manager.get(record.process_id)).warnings == ()


def test_nothing_starts_without_a_model_that_can_measure(bench: Bench) -> None:
    manager = bench.open()
    with pytest.raises(NotFound, match="'models/none' is neither a folder"):
        manager.submit("train", bench.order({"embedding_model": "models/none"}))
    with pytest.raises(NotFound, match="may not download"):
        manager.submit("train", bench.order({"embedding_model": "someone/dino"}))
    (bench.workspace.models / "dino" / "model.safetensors").unlink()
    with pytest.raises(InvalidInput, match="weights"):
        manager.submit("train", bench.order())
    with pytest.raises(Unsupported, match="no embedding model") as refused:
        bench.source(None).must_fetch(bench.order())
    assert "facebook/dinov2-base" in refused.value.hint


def measuring(bench: Bench, record: ProcessRecord) -> list[int]:
    """Return the children that measure a training's samples."""
    job = str(bench.scratch(record))
    found = []
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []
        if str(embedding_script.__file__) in arguments and any(job in each for each in arguments):
            found.append(process.pid)
    return found
