"""Trainings whose dataset comes from elsewhere, with real children."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lorapod.clock import SystemClock
from lorapod.deadline import Deadline
from lorapod.errors import Conflict, ErrorCode, InvalidInput, UpstreamError
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TrainingOrder
from lorapod.processes.requests import ControlRequest
from lorapod.processes.store.file import open_file_store
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus
from lorapod.testing.manager import ended, open_manager, task_on, train_on, until
from lorapod.testing.provider import ScriptedDatasets
from lorapod.testing.task import CountingKind
from lorapod.workspace import Workspace

DATASET = "training_data/urls_1"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def supply(workspace: Workspace) -> ScriptedDatasets:
    return ScriptedDatasets(workspace.root)


@pytest.fixture
def manager(workspace: Workspace, supply: ScriptedDatasets) -> Iterator[RealProcessManager]:
    opened = open_manager(workspace.root, datasets=supply, kinds=[CountingKind()])
    yield opened
    opened.close(Deadline.after(5))


def train(manager: RealProcessManager) -> ProcessRecord:
    order = TrainingOrder(
        trainer="script",
        config={"steps": 2},
        dataset_path=DATASET,
        dataset_source={"path": DATASET},
        dataset={"path": DATASET},
    )
    return manager.submit("train", order).record


def running(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.RUNNING and record.progress.step > 0


def waiting(record: ProcessRecord) -> bool:
    return record.phase is Phase.WAITING


def fetching(record: ProcessRecord) -> bool:
    return record.phase is Phase.FETCHING and record.fetch is not None


async def test_fetched_checked_drawn_and_trained(
    manager: RealProcessManager, supply: ScriptedDatasets, workspace: Workspace
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
    manager: RealProcessManager, supply: ScriptedDatasets
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


async def test_one_trains_while_the_next_ones_fetch_and_wait(
    manager: RealProcessManager, supply: ScriptedDatasets
) -> None:
    first = train_on(manager, steps=100_000)
    await until(manager, first, running)
    supply.endless = True
    second, third, fourth = train(manager), train(manager), train(manager)
    for record in (second, third):
        await until(manager, record, fetching)
    # Two at a time.
    assert manager.get(fourth.process_id).status is ProcessStatus.QUEUED
    seen: list[tuple[str, ProcessStatus]] = []
    for record in (first, second, third, fourth):
        manager.listeners.add(record.process_id, lambda now: seen.append((now.process_id, now.status)))
    supply.endless = False
    for record in (second, third, fourth):
        now = await until(manager, record, waiting)
        assert (now.status, now.pid, now.dataset["images"]) == (ProcessStatus.PREPARING, None, 1)
    assert manager.get(first.process_id).status is ProcessStatus.RUNNING
    manager.ask(first.process_id, ControlRequest(save=False, grace_s=0))
    records = [await ended(manager, record) for record in (first, second, third, fourth)]
    assert [record.status for record in records] == [ProcessStatus.CANCELLED] + [ProcessStatus.COMPLETED] * 3
    training = {first.process_id}
    for process_id, status in seen:
        if status is ProcessStatus.RUNNING:
            training.add(process_id)
        if status.final:
            training.discard(process_id)
        assert len(training) <= 1, seen


async def test_a_cancel_ends_the_wait_for_the_gpu_and_for_the_fetch(
    manager: RealProcessManager, supply: ScriptedDatasets
) -> None:
    first = train_on(manager, steps=100_000)
    await until(manager, first, running)
    second = train(manager)
    await until(manager, second, waiting)
    supply.endless = True
    fetchers = [train(manager), train(manager)]
    for record in fetchers:
        await until(manager, record, fetching)
    behind = train(manager)
    for record in (second, behind, *fetchers):
        manager.ask(record.process_id, ControlRequest(grace_s=5))
        assert (await ended(manager, record)).status is ProcessStatus.CANCELLED
    assert behind.process_id not in supply.fetched_for
    assert manager.get(first.process_id).status is ProcessStatus.RUNNING
    supply.endless = False
    manager.ask(first.process_id, ControlRequest(save=False, grace_s=0))
    manager.resume(second.process_id)
    assert (await ended(manager, second)).status is ProcessStatus.COMPLETED


async def test_a_fetch_keeps_nobody_from_the_gpu(
    manager: RealProcessManager, supply: ScriptedDatasets
) -> None:
    supply.endless = True
    record = train(manager)
    await until(manager, record, fetching)
    # It would be refused if it had to wait.
    assert (
        await ended(manager, task_on(manager, "count", steps=2, refuse_if_busy=True))
    ).status is ProcessStatus.COMPLETED
    first = train_on(manager, steps=100_000)
    await until(manager, first, running)
    supply.endless = False
    await until(manager, record, waiting)
    with pytest.raises(Conflict, match=rf"taken by {first.process_id}, and 1 more wait"):
        task_on(manager, "count", steps=2, refuse_if_busy=True)


async def test_who_was_taken_up_elsewhere_while_it_waited_starts_nothing(
    manager: RealProcessManager, workspace: Workspace
) -> None:
    first = train_on(manager, steps=100_000)
    await until(manager, first, running)
    record = train(manager)
    await until(manager, record, waiting)
    store = open_file_store(workspace.processes, SystemClock()).records
    now = store.load(record.process_id)
    assert now is not None
    # What another worker does that takes this one for dead.
    store.create(now.moved(ProcessStatus.INTERRUPTED, generation=now.generation + 1))
    manager.ask(first.process_id, ControlRequest(save=False, grace_s=0))
    await ended(manager, first)
    await asyncio.to_thread(manager.close, Deadline.after(5))
    end = manager.get(record.process_id)
    assert (end.status, end.generation, end.pid) == (ProcessStatus.INTERRUPTED, 2, None)
    assert not (workspace.process_folder(record.process_id) / "config.json").exists()


async def test_a_worker_that_is_stopped_leaves_it_interrupted(
    manager: RealProcessManager, supply: ScriptedDatasets
) -> None:
    supply.endless = True
    record = train(manager)
    await until(manager, record, fetching)
    await asyncio.to_thread(manager.close, Deadline.after(5))
    assert manager.get(record.process_id).status is ProcessStatus.INTERRUPTED


class CutOffDatasets(ScriptedDatasets):
    """A server that hangs up when the fetch is stopped."""

    def fetch(self, *arguments: Any, **options: Any) -> Mapping[str, Any] | None:
        known = super().fetch(*arguments, **options)
        if known is None:
            raise UpstreamError("the server hung up")
        return known


async def test_a_fetch_that_fails_while_it_is_stopped_is_cancelled_or_interrupted(
    workspace: Workspace,
) -> None:
    supply = CutOffDatasets(workspace.root)
    supply.endless = True
    manager = open_manager(workspace.root, datasets=supply)
    first, second = train(manager), train(manager)
    for record in (first, second):
        await until(manager, record, fetching)
    manager.ask(first.process_id, ControlRequest(save=True, grace_s=30))
    assert (await ended(manager, first)).status is ProcessStatus.CANCELLED
    await asyncio.to_thread(manager.close, Deadline.after(5))
    assert manager.get(second.process_id).status is ProcessStatus.INTERRUPTED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("a.png is cut off."), ErrorCode.INVALID_INPUT),
        (OSError(errno.ENOSPC, "No space left on device"), ErrorCode.INSUFFICIENT_STORAGE),
    ],
)
async def test_what_cannot_be_had_fails_it_before_the_trainer_starts(
    manager: RealProcessManager,
    supply: ScriptedDatasets,
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
    manager: RealProcessManager, supply: ScriptedDatasets
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
    manager.close(Deadline.after(5))
