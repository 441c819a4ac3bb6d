"""Trainings whose dataset comes from elsewhere, with real children."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorapod.errors import ErrorCode, InvalidInput
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TrainingOrder
from lorapod.processes.record import ProcessRecord
from lorapod.processes.requests import ControlRequest
from lorapod.processes.status import ProcessStatus
from lorapod.testing.manager import ended, open_manager, until
from lorapod.testing.supply import ScriptedSupply
from lorapod.trainers.port import Phase
from lorapod.workspace import Workspace

DATASET = "training_data/urls_1"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def supply(workspace: Workspace) -> ScriptedSupply:
    return ScriptedSupply(workspace.root)


@pytest.fixture
def manager(workspace: Workspace, supply: ScriptedSupply) -> Iterator[RealProcessManager]:
    opened = open_manager(workspace.root, datasets=supply)
    yield opened
    opened.close(5)


def train(manager: RealProcessManager) -> ProcessRecord:
    order = TrainingOrder(
        trainer="script",
        config={"steps": 2},
        dataset_path=DATASET,
        dataset_source={"path": DATASET},
        dataset={"path": DATASET},
    )
    return manager.submit("train", order).record


def fetching(record: ProcessRecord) -> bool:
    return record.phase is Phase.FETCHING and record.fetch is not None


async def test_fetched_checked_drawn_and_trained(
    manager: RealProcessManager, supply: ScriptedSupply, workspace: Workspace
) -> None:
    supply.endless = True
    record = train(manager)
    assert record.status is ProcessStatus.QUEUED
    assert (await until(manager, record, fetching)).status is ProcessStatus.PREPARING
    supply.endless = False
    end = await ended(manager, record)
    assert end.status is ProcessStatus.COMPLETED
    assert end.fetch is not None
    assert (end.fetch.files, end.fetch.received_bytes) == (1, 2)
    assert end.dataset == {
        "path": DATASET,
        "images": 1,
        "captions": 0,
        "warnings": ["one is few"],
        "contact_sheet": f"output/{record.process_id}/dataset.png",
    }
    log = workspace.log_path(record.process_id).read_text()
    assert "fetching: 0 of 1 files, 1 of 2 bytes" in log
    assert "dataset: one is few" in log
    assert (workspace.root / end.dataset["contact_sheet"]).exists()


async def test_a_cancel_ends_the_fetch_and_a_resume_takes_it_up(
    manager: RealProcessManager, supply: ScriptedSupply
) -> None:
    supply.endless = True
    record = train(manager)
    await until(manager, record, fetching)
    began = time.monotonic()
    manager.ask(record.process_id, ControlRequest(save=True, grace_s=30))
    end = await ended(manager, record)
    assert time.monotonic() - began < 1
    assert (end.status, end.exit_code, end.pid) == (ProcessStatus.CANCELLED, None, None)
    supply.endless = False
    manager.resume(record.process_id)
    assert (await ended(manager, record)).status is ProcessStatus.COMPLETED
    assert supply.fetched_for == [record.process_id] * 2


async def test_a_worker_that_is_stopped_leaves_it_interrupted(
    manager: RealProcessManager, supply: ScriptedSupply
) -> None:
    supply.endless = True
    record = train(manager)
    await until(manager, record, fetching)
    await asyncio.to_thread(manager.close, 5)
    assert manager.get(record.process_id).status is ProcessStatus.INTERRUPTED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("a.png is cut off."), ErrorCode.INVALID_INPUT),
        (OSError(errno.ENOSPC, "No space left on device"), ErrorCode.INSUFFICIENT_STORAGE),
    ],
)
async def test_what_cannot_be_had_fails_it_before_the_trainer_starts(
    manager: RealProcessManager,
    supply: ScriptedSupply,
    workspace: Workspace,
    error: InvalidInput | OSError,
    code: ErrorCode,
) -> None:
    supply.error = error
    end = await ended(manager, train(manager))
    assert end.status is ProcessStatus.FAILED
    assert end.failure is not None
    assert end.failure.code is code
    assert end.pid is None
    # The script trainer writes it at the launch.
    assert not (workspace.process_folder(end.process_id) / "config.json").exists()


async def test_the_next_one_trains_when_the_fetch_has_failed(
    manager: RealProcessManager, supply: ScriptedSupply
) -> None:
    supply.error = InvalidInput("no")
    first = train(manager)
    await ended(manager, first)
    supply.error = None
    assert (await ended(manager, train(manager))).status is ProcessStatus.COMPLETED


async def test_a_worker_that_fetches_nothing_says_so(workspace: Workspace) -> None:
    manager = open_manager(workspace.root)
    end = await ended(manager, train(manager))
    assert end.failure is not None
    assert end.failure.code is ErrorCode.UNSUPPORTED
    manager.close(5)
