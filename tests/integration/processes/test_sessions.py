"""Trainings in session folders, with real children."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorapod.clock import SystemClock
from lorapod.deadline import Deadline
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TrainingOrder, read_order
from lorapod.processes.requests import ControlRequest
from lorapod.processes.store.file import open_file_store
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.sessions import TrainingSession, begin_session
from lorapod.testing.manager import ended, open_manager, until
from lorapod.testing.provider import ScriptedDatasets
from lorapod.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def supply(workspace: Workspace) -> ScriptedDatasets:
    return ScriptedDatasets(workspace.root)


@pytest.fixture
def manager(workspace: Workspace, supply: ScriptedDatasets) -> Iterator[RealProcessManager]:
    opened = open_manager(workspace.root, datasets=supply)
    yield opened
    opened.close(Deadline.after(5))


def order_in(
    session: TrainingSession, *, runpod_job_id: str | None = None, **config: object
) -> TrainingOrder:
    return TrainingOrder(
        trainer="script",
        config={"steps": 3, **config},
        session=session.folder,
        dataset_path=session.dataset,
        dataset_source={"path": "not here"},
        runpod_job_id=runpod_job_id,
    )


def under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def in_training(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.RUNNING and record.progress.step > 20


async def test_config_dataset_and_output_lie_in_the_session(
    manager: RealProcessManager, workspace: Workspace
) -> None:
    session = begin_session(workspace, SystemClock())
    record = manager.submit("train", order_in(session)).record
    end = await ended(manager, record)
    assert (end.status, end.session) == (ProcessStatus.COMPLETED, session.folder)
    folder = workspace.root / session.folder
    assert under(folder) >= {
        "config.yaml",
        "dataset/a.png",
        "output/dataset.png",
        "output/model/model.safetensors",
    }
    assert end.run_folder(workspace) == folder / "output" / "model"
    assert end.config_path(workspace) == folder / "config.yaml"
    assert not workspace.output_folder(record.process_id).exists()


async def test_it_is_taken_up_again_in_its_session_with_the_dataset_that_is_there(
    manager: RealProcessManager, workspace: Workspace
) -> None:
    session = begin_session(workspace, SystemClock(), parent="training")
    record = manager.submit("train", order_in(session, steps=5000, save_every=10)).record
    await until(manager, record, in_training)
    await asyncio.to_thread(manager.close, Deadline.after(5))
    assert manager.get(record.process_id).status is ProcessStatus.INTERRUPTED
    later = open_manager(workspace.root, worker_id="worker-2", datasets=ScriptedDatasets(workspace.root))
    try:
        resumed = later.resume(record.process_id).record
        assert resumed.session == session.folder
        running = await until(later, resumed, lambda now: now.resumed_from_step is not None)
        assert running.resumed_from_step is not None
        assert running.resumed_from_step >= 10
        later.ask(record.process_id, ControlRequest(save=False, grace_s=5))
        await ended(later, resumed)
    finally:
        later.close(Deadline.after(5))
    assert {path.name for path in (workspace.root / "training").iterdir()} == {session.id}


async def test_a_job_that_is_handed_out_again_stays_in_its_first_session(
    manager: RealProcessManager, workspace: Workspace
) -> None:
    first = begin_session(workspace, SystemClock())
    record = manager.submit("train", order_in(first, runpod_job_id="job-1", steps=5000)).record
    # As on a worker that was killed right after it had begun the process.
    (workspace.process_folder(record.process_id) / "order.json").unlink()
    second = begin_session(workspace, SystemClock())
    again = manager.submit("train", order_in(second, runpod_job_id="job-1", steps=5000))
    assert (again.record.process_id, again.record.session) == (record.process_id, first.folder)
    store = open_file_store(workspace.processes, SystemClock())
    assert read_order(TrainingOrder, store.orders, record.process_id) == dataclasses.replace(
        order_in(first, runpod_job_id="job-1", steps=5000)
    )
    manager.ask(record.process_id, ControlRequest(save=False, grace_s=5))
    await ended(manager, record)
