"""A cancel outranks whatever else ends its process: the worker's shutdown, its death, a standstill."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorapod.clock import SystemClock
from lorapod.deadline import Deadline
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TrainingOrder
from lorapod.processes.recovery import resume_interrupted
from lorapod.processes.requests import ControlRequest
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.manager import ended, open_manager, task_on, train_on, until
from lorapod.testing.task import CountingKind

LEASE_S = 3.0

WORKER = """
import sys, threading
from pathlib import Path
from lorapod.testing.manager import open_manager, train_on
manager = open_manager(Path(sys.argv[1]), worker_id="other", lease_s=float(sys.argv[2]))
print(train_on(manager, steps=5000, behaviour="ignore_sigterm").process_id, flush=True)
threading.Event().wait()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def manager(root: Path) -> Iterator[RealProcessManager]:
    opened = open_manager(root, worker_id="mine", lease_s=LEASE_S)
    yield opened
    opened.close(Deadline.after(5))


def cancel(manager: RealProcessManager, record: ProcessRecord, grace_s: float = 30) -> None:
    manager.ask(record.process_id, ControlRequest(save=False, grace_s=grace_s))


def in_training(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.RUNNING and record.progress.step > 0


async def test_a_cancelled_training_whose_worker_is_stopped_meanwhile_is_not_resumed(root: Path) -> None:
    first = open_manager(root, worker_id="first", lease_s=LEASE_S)
    record = train_on(first, steps=5000, behaviour="ignore_sigint")
    await until(first, record, in_training)
    cancel(first, record)
    await until(first, record, lambda now: now.status is ProcessStatus.STOPPING)
    await asyncio.to_thread(first.close, Deadline.after(6))
    later = open_manager(root, worker_id="later", lease_s=LEASE_S)
    try:
        assert later.get(record.process_id).status is ProcessStatus.CANCELLED
        await asyncio.to_thread(resume_interrupted, later, SystemClock())
        assert later.get(record.process_id).status is ProcessStatus.CANCELLED
        assert later.counts() == {}
    finally:
        await asyncio.to_thread(later.close, Deadline.after(5))


async def test_a_cancelled_task_whose_worker_is_stopped_meanwhile_is_cancelled(root: Path) -> None:
    first = open_manager(root, lease_s=LEASE_S, kinds=[CountingKind(resumable=True)])
    record = task_on(first, "count", steps=200, deaf=True)
    await until(first, record, lambda now: now.progress.step > 0)
    cancel(first, record)
    await asyncio.to_thread(first.close, Deadline.after(0.1))
    assert first.get(record.process_id).cancel_requested
    await asyncio.to_thread(first.close, Deadline.after(5))


async def test_a_cancel_that_comes_after_the_shutdown_counts(root: Path) -> None:
    first = open_manager(root, lease_s=LEASE_S)
    record = train_on(first, steps=5000, behaviour="ignore_sigint")
    await until(first, record, in_training)
    closing = asyncio.create_task(asyncio.to_thread(first.close, Deadline.after(6)))
    await until(first, record, lambda now: now.status is ProcessStatus.STOPPING)
    cancel(first, record)
    await closing
    later = open_manager(root, worker_id="later", lease_s=LEASE_S)
    assert later.get(record.process_id).status is ProcessStatus.CANCELLED
    await asyncio.to_thread(later.close, Deadline.after(5))


async def test_a_worker_that_dies_while_it_stops_a_cancelled_training_leaves_it_cancelled(
    manager: RealProcessManager, root: Path
) -> None:
    other = subprocess.Popen(  # noqa: ASYNC220 - a worker of its own, which is killed
        [sys.executable, "-c", WORKER, str(root), str(LEASE_S)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    try:
        record = manager.get(other.stdout.readline().strip())
        await until(manager, record, in_training)
        cancel(manager, record)
        await until(manager, record, lambda now: now.status is ProcessStatus.STOPPING)
        other.send_signal(signal.SIGKILL)
        assert (await ended(manager, record)).status is ProcessStatus.CANCELLED
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


async def test_a_cancel_is_on_disk_before_it_is_answered(manager: RealProcessManager, root: Path) -> None:
    first = train_on(manager, steps=5000, behaviour="ignore_sigint")
    await until(manager, first, in_training)
    cancel(manager, first)
    beside = open_manager(root, worker_id="beside", lease_s=LEASE_S)
    assert beside.get(first.process_id).cancel_requested
    await asyncio.to_thread(beside.close, Deadline.after(5))


async def test_a_resumed_process_is_cancelled_no_more(manager: RealProcessManager) -> None:
    record = train_on(manager, steps=5000, save_every=5)
    await until(manager, record, in_training)
    cancel(manager, record, grace_s=5)
    assert (await ended(manager, record)).cancel_requested
    assert not manager.resume(record.process_id).record.cancel_requested


@pytest.mark.parametrize("resumed_by", [None, "job-2"])
async def test_a_redelivered_job_does_not_resume_what_was_cancelled_after_another_resume(
    root: Path, resumed_by: str | None
) -> None:
    order = TrainingOrder(trainer="script", config={"steps": 5000}, runpod_job_id="job-1")
    first = open_manager(root, worker_id="first", lease_s=LEASE_S)
    record = first.submit("train", order).record
    await until(first, record, in_training)
    await asyncio.to_thread(first.close, Deadline.after(6))
    later = open_manager(root, worker_id="later", lease_s=LEASE_S)
    try:
        if resumed_by is None:
            await asyncio.to_thread(resume_interrupted, later, SystemClock())
        else:
            later.resume(record.process_id, runpod_job_id=resumed_by)
        await until(later, record, in_training)
        cancel(later, record, grace_s=5)
        await ended(later, record)
        again = later.submit("train", order)
        assert (again.record.status, again.begun, again.retried) == (ProcessStatus.CANCELLED, False, True)
    finally:
        await asyncio.to_thread(later.close, Deadline.after(5))


@pytest.mark.parametrize("by", ["start", "redelivery"])
async def test_a_cancel_that_reached_no_holder_before_the_shutdown_is_not_resumed_by_itself(
    root: Path, by: str
) -> None:
    order = TrainingOrder(trainer="script", config={"steps": 5000}, runpod_job_id="job-1")
    first = open_manager(root, worker_id="first", lease_s=LEASE_S)
    record = first.submit("train", order).record
    await until(first, record, in_training)
    await asyncio.to_thread(first.close, Deadline.after(6))
    later = open_manager(root, worker_id="later", lease_s=LEASE_S)
    try:
        # Another worker read the record a moment before its end.
        message = ControlRequest(grace_s=5).message()
        later._context.store.mailbox.post(record.process_id, message)
        if by == "start":
            await asyncio.to_thread(resume_interrupted, later, SystemClock())
        else:
            later.submit("train", order)
        assert later.get(record.process_id).status is ProcessStatus.CANCELLED
        assert later.counts() == {}
        # Its caller may still change its mind.
        assert later.resume(record.process_id, runpod_job_id="job-2").begun
    finally:
        await asyncio.to_thread(later.close, Deadline.after(5))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((StopReason.CANCEL, True, 30), (StopReason.SHUTDOWN, True, 20), (StopReason.CANCEL, True, 20)),
        ((StopReason.SHUTDOWN, True, 5), (StopReason.CANCEL, True, 30), (StopReason.CANCEL, True, 5)),
        ((StopReason.CANCEL, True, 30), (StopReason.CANCEL, False, 60), (StopReason.CANCEL, False, 30)),
        ((StopReason.SHUTDOWN, True, 5), (StopReason.SHUTDOWN, True, 4), (StopReason.SHUTDOWN, True, 4)),
    ],
)
def test_of_two_stop_requests_a_cancel_counts_and_the_smaller_grace(
    first: tuple[StopReason, bool, float],
    second: tuple[StopReason, bool, float],
    expected: tuple[StopReason, bool, float],
) -> None:
    requests = [
        StopRequest(reason=reason, save=save, grace_s=grace_s) for reason, save, grace_s in (first, second)
    ]
    merged = requests[0].merged(requests[1])
    assert (merged.reason, merged.save, merged.grace_s) == expected


def test_a_stop_request_that_changes_nothing_is_the_same_request() -> None:
    request = StopRequest(reason=StopReason.CANCEL, save=True, grace_s=5)
    assert request.merged(StopRequest(reason=StopReason.SHUTDOWN, save=True, grace_s=9)) is request
