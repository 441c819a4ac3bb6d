"""Generations as processes of a manager."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lorapod.deadline import Deadline
from lorapod.engines.port import GeneratedFile, Generation, GenerationResult, GenerationRun
from lorapod.engines.task import GenerationKind, PendingGeneration
from lorapod.errors import ErrorCode
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TaskOrder
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus
from lorapod.testing.engine import FakeEngine
from lorapod.testing.manager import ended, open_manager, until
from lorapod.workspace import Workspace

FREE_BYTES = 8_000_000_000

Generate = Callable[..., ProcessRecord]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[RealProcessManager]:
    workspace = Workspace.create(tmp_path / "workspace")
    kind = GenerationKind(
        workspace=workspace, scratch=tmp_path / "scratch", free_gpu_memory=lambda _index: FREE_BYTES
    )
    opened = open_manager(workspace.root, kinds=[kind], gpus=(0,))
    with closing(_Closing(opened)):
        yield opened


@dataclasses.dataclass
class _Closing:
    manager: RealProcessManager

    def close(self) -> None:
        self.manager.close(Deadline.after(5))


@pytest.fixture
def generate(manager: RealProcessManager, engine: FakeEngine) -> Generate:
    def start(**fields: Any) -> ProcessRecord:
        generation = Generation(process_id="", seed=1, folder=Path(), scratch=Path(), **fields)
        pending = PendingGeneration(engine=engine, generation=generation)
        return manager.submit("generate", TaskOrder(input={}), live=pending).record

    return start


async def test_its_folders_are_its_own_and_the_scratch_is_removed(
    manager: RealProcessManager, generate: Generate, tmp_path: Path
) -> None:
    picture = tmp_path / "inputs" / "1" / "image.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"pixels")

    record = await ended(manager, generate(image=picture, inputs_folder=picture.parent))

    assert record.status is ProcessStatus.COMPLETED
    assert record.outcome["files"] == [{"path": f"output/{record.process_id}/image_000.png", "seed": 1}]
    assert not picture.parent.exists()
    assert not (tmp_path / "scratch" / record.process_id).exists()


async def test_it_tells_when_it_will_be_done(manager: RealProcessManager, generate: Generate) -> None:
    record = generate(steps=100, num_images=2, params={"step_s": 0.05})
    now = await until(manager, record, lambda now: now.progress.eta_s is not None and now.progress.step > 3)

    assert now.phase is Phase.GENERATING
    assert (now.progress.image, now.progress.total_images) == (1, 2)
    # Two hundred steps of a twentieth of a second; a busy machine takes longer.
    assert 8 < (now.progress.eta_s or 0) < 60


async def test_a_gpu_that_others_have_filled_fails_it_before_it_loads(
    manager: RealProcessManager, engine: FakeEngine, generate: Generate
) -> None:
    engine.min_gpu_memory_bytes = FREE_BYTES + 1

    record = await ended(manager, generate())

    assert record.failure is not None
    assert record.failure.code is ErrorCode.INSUFFICIENT_MEMORY
    assert engine.loads == 0


async def test_what_a_loaded_engine_uses_itself_does_not_count(
    manager: RealProcessManager, engine: FakeEngine, generate: Generate
) -> None:
    await ended(manager, generate())
    engine.min_gpu_memory_bytes = FREE_BYTES + 1
    assert (await ended(manager, generate())).status is ProcessStatus.COMPLETED


@pytest.mark.parametrize("where", ["nowhere", "outside"])
async def test_a_result_that_is_not_there_is_a_failure(
    manager: RealProcessManager,
    engine: FakeEngine,
    generate: Generate,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lie(generation: Generation, _run: GenerationRun) -> GenerationResult:
        path = Path(__file__) if where == "outside" else generation.folder / "nothing.png"
        return GenerationResult(files=[GeneratedFile(path=path)])

    monkeypatch.setattr(engine, "generate", lie)
    record = await ended(manager, generate())
    assert record.failure is not None
    assert record.failure.code is ErrorCode.INTERNAL


@pytest.mark.expects_errors("supervisor failed")
async def test_a_defect_of_an_engine_costs_its_process_and_nothing_else(
    manager: RealProcessManager, engine: FakeEngine, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_generation: Generation, _run: GenerationRun) -> GenerationResult:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(engine, "generate", broken)
        record = await ended(manager, generate())
    assert record.failure is not None
    assert record.failure.code is ErrorCode.INTERNAL
    assert "defect" in record.failure.message
    assert (await ended(manager, generate())).status is ProcessStatus.COMPLETED
