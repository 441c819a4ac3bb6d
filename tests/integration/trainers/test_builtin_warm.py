"""The builtin trainer forked from a process that has torch imported, beside the same trainer started cold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

from safetensors import safe_open
from tests.integration.builtin_runs import DEADLINE_S, ENVIRONMENT, Bench, config

from lorapod.clock import SystemClock
from lorapod.deadline import Deadline
from lorapod.lease import LeaseTimes
from lorapod.processes.context import ProcessContext
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TrainingOrder
from lorapod.processes.pulse import Pulse, new_holder
from lorapod.processes.requests import Capability, ControlRequest
from lorapod.processes.slots import SlotPool
from lorapod.processes.starting import ColdStarter, Starter
from lorapod.processes.store.file import open_file_store
from lorapod.processes.template.pool import TemplatePool
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.trainers.builtin.adapter import BuiltinTrainer
from lorapod.trainers.training import TrainingKind

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(400)]


class Worker:
    """A manager with the builtin trainer."""

    def __init__(self, bench: Bench, starter: Starter) -> None:
        self.bench, self.starter = bench, starter
        clock, workspace = SystemClock(), bench.workspace
        store = open_file_store(workspace.processes, clock)
        self.context = ProcessContext(
            workspace=workspace,
            store=store,
            pulse=Pulse(store.heartbeats, new_holder("worker"), LeaseTimes(lease_s=15), clock),
            slots=SlotPool([]),
            clock=clock,
            environment={**Settings().trainer_environment(), **ENVIRONMENT},
            max_log_bytes=10_000_000,
            starter=starter,
        )
        trainer = BuiltinTrainer(settings=Settings())
        trainings = TrainingKind({trainer.name: trainer}, self.context, scratch=bench.scratch)
        self.manager = RealProcessManager(self.context, [trainings], worker_id="worker")
        self.manager.start()

    def train(self, name: str, **changes: Any) -> ProcessRecord:
        pictures = self.bench.pictures.relative_to(self.bench.workspace.root)
        order = TrainingOrder(trainer="builtin", config=config(name, **changes), dataset_path=str(pictures))
        return self.manager.submit("train", order).record

    async def until(self, record: ProcessRecord, reached: Callable[[ProcessRecord], bool]) -> ProcessRecord:
        return await asyncio.wait_for(self.manager.wait_until(record.process_id, reached), DEADLINE_S)

    async def end(self, record: ProcessRecord) -> ProcessRecord:
        return await self.until(record, lambda now: now.status.final)

    def folder(self, record: ProcessRecord) -> Path:
        return self.bench.workspace.output_folder(record.process_id) / record.name


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.create(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def warm(bench: Bench) -> Iterator[Worker]:
    worker = Worker(bench, TemplatePool())
    yield worker
    worker.manager.close(Deadline.after(10))


def is_fork(worker: Worker, record: ProcessRecord) -> bool:
    assert isinstance(worker.starter, TemplatePool)
    return psutil.Process(record.pid).ppid() in worker.starter.template_pids()


def trained(record: ProcessRecord, step: int = 0) -> bool:
    return record.status is ProcessStatus.RUNNING and record.progress.step > step


def weights(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="np") as file:
        return {key: file.get_tensor(key).tolist() for key in file.keys()}  # noqa: SIM118 - no mapping


async def test_a_warm_training_writes_what_a_cold_one_writes(bench: Bench, warm: Worker) -> None:
    cold = Worker(bench, ColdStarter())
    folders = []
    for worker in (warm, cold):
        record = worker.train(
            "same",
            train={"steps": 4, "seed": 7},
            save={"save_every": 2},
            sample={"sample_every": 4, "prompts": ["x"]},
        )
        end = await worker.end(record)
        assert end.status is ProcessStatus.COMPLETED, end.failure
        folders.append(worker.folder(record))
    cold.manager.close(Deadline.after(5))
    names = [
        {str(path.relative_to(folder)).split("__")[-1] for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    ]
    assert names[0] == names[1]
    assert weights(folders[0] / "same.safetensors") == weights(folders[1] / "same.safetensors")


async def test_save_cancel_and_resume(warm: Worker) -> None:
    record = warm.train("stopped", train={"steps": 400}, save={"save_every": 1000})
    running = await warm.until(record, lambda now: trained(now, 3))
    assert is_fork(warm, running)
    warm.manager.ask(record.process_id, ControlRequest(capability=Capability.SAVE))
    folder = warm.folder(record)
    await warm.until(record, lambda _: any(folder.glob("stopped_*.safetensors")))
    warm.manager.ask(record.process_id, ControlRequest(save=True, grace_s=60))
    end = await warm.end(record)
    assert end.status is ProcessStatus.CANCELLED
    assert end.exit_code is not None or end.signal is not None
    newest = max(int(path.stem.rpartition("_")[2]) for path in folder.glob("stopped_*.safetensors"))
    assert newest >= running.progress.step
    warm.manager.resume(record.process_id)
    again = await warm.until(record, lambda now: trained(now, newest))
    assert is_fork(warm, again)
    log = warm.bench.workspace.log_path(record.process_id).read_text()
    assert f"Found step {newest} in metadata" in log
    warm.manager.ask(record.process_id, ControlRequest(grace_s=30))
    assert (await warm.end(record)).status is ProcessStatus.CANCELLED


async def test_sigint_ends_it_as_it_ends_a_cold_one(warm: Worker) -> None:
    record = warm.train("interrupted", train={"steps": 400})
    running = await warm.until(record, lambda now: trained(now, 3))
    assert running.pid is not None
    psutil.Process(running.pid).send_signal(2)
    end = await warm.end(record)
    assert (end.status, end.exit_code) == (ProcessStatus.INTERRUPTED, 0)


def test_forks_draw_other_numbers_from_every_source(warm: Worker, tmp_path: Path) -> None:
    program = tmp_path / "draw.py"
    program.write_text(
        "import random, numpy, torch\n"
        "print(random.random(), numpy.random.rand(), numpy.random.default_rng().random(), torch.rand(1).item())"
    )
    spec_ = BuiltinTrainer.warm
    environment = warm.context.child_environment(warm.context.slots.example)
    warm.starter.await_ready(spec_, environment, lambda: False)
    drawn: list[str] = []
    for _ in range(3):
        child = warm.starter.start_child(
            LaunchSpec(argv=(*spec_.python, str(program)), cwd=tmp_path), environment, warm=spec_, fence_s=600
        )
        with child.streams[0] as stdout:
            assert psutil.Process(child.pid).ppid() in warm.starter.template_pids()  # type: ignore[attr-defined]
            text = b""
            while chunk := stdout.read(1000):
                text += chunk
        assert child.reap().exit_code == 0
        drawn += text.decode().split()
    assert len(set(drawn)) == 12
