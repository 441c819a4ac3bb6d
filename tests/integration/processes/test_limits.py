"""Trainings that end by themselves: after a running time, or at a moment."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lorapod.deadline import Deadline
from lorapod.errors import InvalidInput
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TrainingOrder
from lorapod.processes.requests import ControlRequest
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.records.limits import Continuation, Limits
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.manager import ended, open_manager, train_on, until
from lorapod.trainers import early_stop
from lorapod.trainers.builtin.loss_log_writer import LossLogWriter
from lorapod.workspace import Workspace

LEASE_S = 2.0
#: Longer than any test.
LONG = timedelta(hours=1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def manager(root: Path) -> Iterator[RealProcessManager]:
    opened = open_manager(root, lease_s=LEASE_S)
    yield opened
    opened.close(Deadline.after(5))


def limited(manager: RealProcessManager, limits: Limits, **config: Any) -> ProcessRecord:
    order = TrainingOrder(trainer="script", config={"steps": 100_000, **config}, limits=limits)
    return manager.submit("train", order).record


def in_training(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.RUNNING and record.progress.step > 3


async def test_after_its_running_time_it_ends_with_a_checkpoint_and_can_be_resumed(
    manager: RealProcessManager, root: Path
) -> None:
    record = limited(manager, Limits(duration_s=1.5))
    end = await ended(manager, record)
    assert (end.status, end.reason) == (ProcessStatus.CANCELLED, "limit")
    assert end.training is not None
    assert end.training.ran_s >= 1.5
    assert list(end.run_folder(Workspace.create(root)).glob("*.safetensors"))
    again = manager.resume(record.process_id).record
    assert again.training is not None
    assert (again.reason, again.training.ran_s, again.limits) == (None, 0.0, Limits(duration_s=1.5))
    second = await ended(manager, record)
    assert (second.status, second.reason) == (ProcessStatus.CANCELLED, "limit")
    assert (second.resumed_from_step or 0) > 0


async def test_waiting_for_a_gpu_does_not_count(manager: RealProcessManager) -> None:
    first = train_on(manager, steps=100_000)
    await until(manager, first, in_training)
    record = limited(manager, Limits(duration_s=0.2))
    assert manager.get(record.process_id).status is ProcessStatus.QUEUED
    manager.ask(first.process_id, ControlRequest(save=False, grace_s=5))
    end = await ended(manager, record)
    assert (end.reason, end.started_at is not None) == ("limit", True)


async def test_at_its_moment_a_training_ends_that_waits(manager: RealProcessManager) -> None:
    first = train_on(manager, steps=100_000)
    await until(manager, first, in_training)
    record = limited(manager, Limits(until=datetime.now(UTC) + timedelta(seconds=0.5)))
    end = await ended(manager, record)
    assert (end.status, end.reason, end.started_at) == (ProcessStatus.CANCELLED, "limit", None)
    with pytest.raises(InvalidInput, match="which has passed"):
        manager.resume(record.process_id)
    later = Limits(until=datetime.now(UTC) + LONG)
    assert manager.resume(record.process_id, changes=Continuation(limits=later)).record.limits == later
    for each in (record, first):
        manager.ask(each.process_id, ControlRequest(save=False, grace_s=5))
        await ended(manager, each)


async def test_at_its_moment_a_training_ends_that_runs(manager: RealProcessManager) -> None:
    record = limited(manager, Limits(until=datetime.now(UTC) + timedelta(seconds=2)))
    end = await ended(manager, record)
    assert (end.status, end.reason) == (ProcessStatus.CANCELLED, "limit")


async def test_a_limit_that_is_not_reached_changes_nothing(manager: RealProcessManager) -> None:
    limits = Limits(duration_s=3600, until=datetime.now(UTC) + LONG)
    end = await ended(manager, limited(manager, limits, steps=5))
    assert (end.status, end.reason) == (ProcessStatus.COMPLETED, None)


async def test_the_time_of_a_dead_worker_s_run_counts(root: Path) -> None:
    first = open_manager(root, lease_s=LEASE_S)
    record = limited(first, Limits(duration_s=3600))
    await until(first, record, lambda now: now.training is not None and now.training.ran_s > 0.3)
    # Its worker is stopped: the process is interrupted, and another worker goes on by itself.
    first.close(Deadline.after(5))
    second = open_manager(root, worker_id="second", lease_s=LEASE_S)
    left = second.get(record.process_id)
    assert left.status is ProcessStatus.INTERRUPTED
    assert left.training is not None
    before_s = left.training.ran_s
    assert before_s > 0.3
    resumed = second.resume(record.process_id, unasked=True).record
    assert resumed.training is not None
    assert resumed.training.ran_s == before_s
    now = await until(
        second, record, lambda now: now.training is not None and now.training.ran_s > before_s + 0.2
    )
    assert now.status is ProcessStatus.RUNNING
    second.close(Deadline.after(5))


async def test_a_shutdown_does_not_undo_a_limit(manager: RealProcessManager) -> None:
    record = limited(manager, Limits(duration_s=3600), behaviour="ignore_sigint")
    await until(manager, record, in_training)
    supervisor = manager.supervisors[record.process_id]
    supervisor.stop(StopRequest(reason=StopReason.LIMIT, save=False, grace_s=1))
    supervisor.stop(StopRequest(reason=StopReason.SHUTDOWN, save=False, grace_s=1))
    end = await ended(manager, record)
    assert (end.status, end.reason, end.signal) == (
        ProcessStatus.CANCELLED,
        "limit",
        signal.Signals.SIGTERM.name,
    )


async def test_a_training_that_no_longer_gets_better_ends_with_a_checkpoint(
    manager: RealProcessManager, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_stop, "LOOK_S", 0.0)
    order = TrainingOrder(
        trainer="script",
        config={"steps": 100_000},
        validation={"share": 0.1, "every": 5},
        stop_when={"no_better": "validation_loss", "patience": 2, "min_improvement": 0.0, "from_step": 0},
    )
    record = manager.submit("train", order).record
    folder = record.run_folder(Workspace.create(root))
    now = await until(manager, record, in_training)
    assert now.status is ProcessStatus.RUNNING
    with closing(LossLogWriter(folder / "loss_log.db", resumed_step=0)) as log:
        for step, loss in ((5, 0.5), (10, 0.3), (15, 0.31)):
            log.write(step, {"val/loss": loss})
        log.flush()
        now = await until(
            manager, record, lambda now: now.training is not None and now.training.best_step == 10
        )
        assert now.status is ProcessStatus.RUNNING, "one look without improvement is not enough"
        log.write(20, {"val/loss": 0.32})
        log.flush()
        end = await ended(manager, record)
    assert (end.status, end.reason) == (ProcessStatus.CANCELLED, "no_improvement")
    assert list(folder.glob("*.safetensors"))


def test_of_two_reasons_the_stronger_counts() -> None:
    stops = {reason: StopRequest(reason=reason, save=True, grace_s=5) for reason in StopReason}
    limit = stops[StopReason.LIMIT]
    assert limit.merged(stops[StopReason.SHUTDOWN]) is limit
    assert stops[StopReason.SHUTDOWN].merged(limit).reason is StopReason.LIMIT
    assert limit.merged(replace(stops[StopReason.CANCEL], grace_s=1)).reason is StopReason.CANCEL


def test_when_a_limit_is_reached() -> None:
    now = datetime(2026, 1, 31, 23, tzinfo=UTC)
    assert not Limits().reached(1e9, now)
    assert Limits(duration_s=60).reached(60, now)
    assert not Limits(duration_s=60).reached(59.9, now)
    assert Limits(until=now).reached(0, now)
    assert not Limits(until=now + LONG).reached(1e9, now)
