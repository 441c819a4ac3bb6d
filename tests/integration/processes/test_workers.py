"""Several workers on one workspace, of which some die or freeze."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lorapod import lease
from lorapod.clock import SystemClock
from lorapod.deadline import Deadline
from lorapod.errors import Conflict, ErrorCode, NotFound
from lorapod.processes import child as children
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TrainingOrder
from lorapod.processes.recovery import resume_interrupted
from lorapod.processes.requests import ControlRequest
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.processes.store.file import ORDER_NAME
from lorapod.processes.store.port import Heartbeat
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.manager import SOON_S, ended, open_manager, task_on, train_on, until
from lorapod.testing.store import MemoryHeartbeats, MemoryRecords, open_memory_store
from lorapod.testing.task import CountingKind

LEASE_S = 3.0
CANCEL = StopRequest(reason=StopReason.CANCEL, save=False, grace_s=5)

#: A worker in a process of its own, that trains one thing and says which.
WORKER = """
import sys, threading
from pathlib import Path
from lorapod.testing.manager import open_manager, train_on
manager = open_manager(Path(sys.argv[1]), worker_id="other", lease_s=float(sys.argv[2]))
record = train_on(manager, steps=int(sys.argv[3]), save_every=10, behaviour=sys.argv[4])
print(record.process_id, flush=True)
threading.Event().wait()
"""


class OtherWorker:
    """A real process that holds a training."""

    def __init__(self, root: Path, *, steps: int = 5000, behaviour: str = "train") -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(root), str(LEASE_S), str(steps), behaviour],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.popen.stdout is not None
        self.process_id = self.popen.stdout.readline().strip()

    def close(self) -> None:
        for number in (signal.SIGCONT, signal.SIGKILL):
            self.popen.send_signal(number)
        self.popen.wait()
        assert self.popen.stdout is not None
        self.popen.stdout.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def manager(root: Path) -> Iterator[RealProcessManager]:
    opened = open_manager(root, worker_id="mine", lease_s=LEASE_S)
    yield opened
    opened.close(Deadline.after(5))


@pytest.fixture
def other(manager: RealProcessManager, root: Path) -> Iterator[OtherWorker]:
    del manager
    worker = OtherWorker(root)
    yield worker
    worker.close()


def guards_of(record: ProcessRecord) -> list[int]:
    """Guards carry the command line of what they guard behind their own, or its group where it is a fork."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "guard.py" in (line := " ".join(process.info["cmdline"] or ()))
        and (record.process_id in line or f"--watch {record.pid} " in line)
    ]


async def running(manager: RealProcessManager, process_id: str, step: int = 10) -> ProcessRecord:
    record = manager.get(process_id)
    return await until(
        manager, record, lambda now: now.status is ProcessStatus.RUNNING and now.progress.step > step
    )


def gone(record: ProcessRecord) -> bool:
    assert record.pid is not None
    return not children.same_process(record.pid, record.pid_started)


async def until_gone(record: ProcessRecord) -> float:
    """Seconds until the child was gone."""
    began = time.monotonic()
    while not gone(record):
        assert time.monotonic() - began < SOON_S
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_any_worker_answers_for_anothers_process(
    manager: RealProcessManager, other: OtherWorker
) -> None:
    record = await running(manager, other.process_id)
    assert record.worker_id == "other"
    assert not manager.holds(record.process_id)
    page, _ = manager.page(status=ProcessStatus.RUNNING, limit=10, before=None)
    assert [each.process_id for each in page] == [other.process_id]


async def test_any_worker_cancels_anothers_process(manager: RealProcessManager, other: OtherWorker) -> None:
    record = await running(manager, other.process_id)
    began = time.monotonic()
    manager.ask(record.process_id, ControlRequest(save=True, grace_s=5))
    await until(manager, record, lambda now: now.status is not ProcessStatus.RUNNING)
    assert time.monotonic() - began < 2 + 1  # acted on within 2 s, seen within one more
    end = await ended(manager, record)
    assert (end.status, end.exit_code) == (ProcessStatus.CANCELLED, 0)


async def test_a_killed_worker_takes_its_child_along_and_is_noticed(
    manager: RealProcessManager, other: OtherWorker
) -> None:
    record = await running(manager, other.process_id)
    began = time.monotonic()
    other.popen.kill()
    await until_gone(record)
    assert time.monotonic() - began < 1
    other.popen.wait()
    end = await ended(manager, record)
    assert end.status is ProcessStatus.INTERRUPTED
    assert end.worker_id == "other"
    assert end.generation == 2
    assert time.monotonic() - began < LEASE_S


async def test_a_child_that_outlived_its_worker_and_its_guard_is_gone_before_it_is_called_interrupted(
    manager: RealProcessManager, other: OtherWorker
) -> None:
    record = await running(manager, other.process_id)
    (guard,) = guards_of(record)
    os.kill(guard, signal.SIGKILL)
    other.popen.kill()
    assert (await ended(manager, record)).status is ProcessStatus.INTERRUPTED
    assert gone(record)


async def test_a_frozen_workers_training_is_over_before_another_may_take_it_up(
    manager: RealProcessManager, other: OtherWorker
) -> None:
    record = await running(manager, other.process_id)
    began = time.monotonic()
    other.popen.send_signal(signal.SIGSTOP)
    await until_gone(record)
    killed_after = time.monotonic() - began
    assert manager.get(record.process_id).status is ProcessStatus.RUNNING
    interrupted = await ended(manager, record)
    noticed_after = time.monotonic() - began
    assert interrupted.status is ProcessStatus.INTERRUPTED
    assert killed_after < noticed_after <= LEASE_S
    # Taken up, it goes on; the worker that wakes late changes nothing.
    resumed = manager.resume(record.process_id).record
    assert resumed.generation == 3
    assert resumed.progress.step >= 10
    other.popen.send_signal(signal.SIGCONT)
    now = await running(manager, record.process_id, step=resumed.progress.step + 200)
    assert (now.generation, now.worker_id) == (3, "mine")
    assert now.resumed_from_step == resumed.progress.step


async def test_a_frozen_worker_that_nobody_missed_says_itself_what_happened(root: Path) -> None:
    alone = OtherWorker(root)
    try:
        reader = open_manager(root, worker_id="mine", lease_s=LEASE_S)
        record = await running(reader, alone.process_id)
        await asyncio.to_thread(reader.close, Deadline.after(1))
        alone.popen.send_signal(signal.SIGSTOP)
        await until_gone(record)
        alone.popen.send_signal(signal.SIGCONT)
        end = await ended(reader, record)
        assert (end.status, end.generation, end.signal) == (ProcessStatus.INTERRUPTED, 1, "SIGKILL")
        assert end.failure is not None
        assert "guard" in end.failure.message
    finally:
        alone.close()


class FailingHeartbeats(MemoryHeartbeats):
    """A place for heartbeats that can be full."""

    full = False

    def write(self, holder: str, beat: Heartbeat) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().write(holder, beat)


@pytest.mark.parametrize("kind", ["training", "task"])
async def test_what_its_guard_ended_says_so_and_can_be_resumed(root: Path, kind: str) -> None:
    hearts = FailingHeartbeats()
    store = dataclasses.replace(open_memory_store(), heartbeats=hearts)
    manager = open_manager(root, store=store, lease_s=LEASE_S, warm=False, kinds=[CountingKind()])
    try:
        if kind == "training":
            begun = train_on(manager, steps=5000)
        else:
            begun = task_on(manager, "count", child="import time; print(1, flush=True); time.sleep(60)")
        record = await until(manager, begun, lambda now: now.pid is not None)
        hearts.full = True
        await until_gone(record)
        hearts.full = False
        end = await ended(manager, record)
        assert (end.status, end.generation) == (ProcessStatus.INTERRUPTED, 1)
        assert end.failure is not None
        assert end.failure.code is ErrorCode.UPSTREAM_ERROR
        assert "guard" in end.failure.message
        assert "guard" in (root / "logs" / f"{record.process_id}.log").read_text()
    finally:
        await asyncio.to_thread(manager.close, Deadline.after(5))


async def test_resume_goes_on_from_the_newest_whole_checkpoint(
    manager: RealProcessManager, root: Path
) -> None:
    record = train_on(manager, steps=400, save_every=10, step_s=0.005)
    await running(manager, record.process_id, step=35)
    manager.ask(record.process_id, ControlRequest(save=False, grace_s=5))
    await ended(manager, record)
    folder = root / "output" / record.process_id / "model"
    steps = sorted(int(path.stem[-9:]) for path in folder.glob("model_*.safetensors"))
    newest = folder / f"model_{steps[-1]:09d}.safetensors"
    newest.write_bytes(newest.read_bytes()[:-3])
    (folder / "optimizer.pt").write_bytes(b"half of it")
    older = folder / f"model_{steps[0]:09d}.safetensors"
    older.chmod(0o644)  # the newest inode change time is not the newest step
    resumed = manager.resume(record.process_id).record
    assert resumed.progress.step == steps[-2]
    whole = folder / f"model_{steps[-2]:09d}.safetensors"
    await running(manager, record.process_id, step=steps[-2])
    assert whole.stat().st_ctime_ns > older.stat().st_ctime_ns
    assert {path.name for path in (folder / ".damaged").iterdir()} == {newest.name, "optimizer.pt"}
    end = await ended(manager, record)
    assert (end.status, end.resumed_from_step) == (ProcessStatus.COMPLETED, steps[-2])


async def test_what_is_completed_or_running_is_not_resumed(manager: RealProcessManager) -> None:
    record = train_on(manager, steps=100)
    with pytest.raises(Conflict, match="nothing to resume"):
        manager.resume(record.process_id)
    await ended(manager, record)
    with pytest.raises(Conflict, match="completed"):
        manager.resume(record.process_id)


async def test_of_two_workers_that_resume_one_does(manager: RealProcessManager, root: Path) -> None:
    record = train_on(manager, steps=5000)
    await running(manager, record.process_id)
    manager.ask(record.process_id, ControlRequest(save=True, grace_s=5))
    await ended(manager, record)
    second = open_manager(root, worker_id="second", lease_s=LEASE_S)

    def resume(worker: RealProcessManager) -> str:
        try:
            return worker.resume(record.process_id).record.worker_id
        except Conflict:
            return "refused"

    answers = await asyncio.gather(
        *(asyncio.to_thread(resume, worker) for worker in (manager, second, manager, second))
    )
    assert sorted(answers).count("refused") == 3
    await asyncio.to_thread(second.close, Deadline.after(5))


async def test_the_same_key_goes_on_where_it_was_left(manager: RealProcessManager) -> None:
    first = train_on(manager, steps=200, save_every=10, idempotency_key="mine")
    await running(manager, first.process_id, step=30)
    manager.ask(first.process_id, ControlRequest(save=True, grace_s=5))
    await ended(manager, first)
    again = train_on(manager, steps=200, save_every=10, idempotency_key="mine")
    assert again.process_id == first.process_id
    assert again.progress.step >= 30
    assert (await ended(manager, again)).status is ProcessStatus.COMPLETED


async def test_what_was_interrupted_is_taken_up_at_the_start(
    manager: RealProcessManager, other: OtherWorker
) -> None:
    record = await running(manager, other.process_id)
    other.popen.kill()
    other.popen.wait()
    await ended(manager, record)
    await asyncio.to_thread(resume_interrupted, manager, SystemClock())
    assert manager.holds(record.process_id)
    assert (await running(manager, record.process_id)).worker_id == "mine"


async def test_an_interrupted_process_can_be_cancelled(
    manager: RealProcessManager, other: OtherWorker
) -> None:
    record = await running(manager, other.process_id)
    other.popen.kill()
    other.popen.wait()
    await ended(manager, record)
    assert manager.ask(record.process_id, ControlRequest()).status is ProcessStatus.CANCELLED
    assert manager.get(record.process_id).status is ProcessStatus.CANCELLED


async def test_a_cancel_that_meets_a_dead_worker_is_not_forgotten(root: Path) -> None:
    manager = open_manager(root, worker_id="mine", lease_s=LEASE_S)
    other = OtherWorker(root)
    try:
        record = await running(manager, other.process_id)
        other.popen.send_signal(signal.SIGSTOP)
        manager.ask(record.process_id, ControlRequest())
        assert (await ended(manager, record)).status is ProcessStatus.CANCELLED
    finally:
        other.close()
        await asyncio.to_thread(manager.close, Deadline.after(5))


async def test_without_its_order_a_process_cannot_be_resumed(manager: RealProcessManager, root: Path) -> None:
    record = train_on(manager, steps=4, behaviour="crash")
    await ended(manager, record)
    (root / "processes" / record.process_id / ORDER_NAME).unlink()
    with pytest.raises(NotFound, match="gone or damaged"):
        manager.resume(record.process_id)


async def test_a_process_that_was_begun_and_never_held_is_marked_dead(
    manager: RealProcessManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("lorapod.processes.manager.keep_order", full)
        with pytest.raises(OSError, match="No space"):
            train_on(manager, steps=5)
    (page, _) = manager.page(status=None, limit=1, before=None)
    assert (await ended(manager, page[0])).status is ProcessStatus.INTERRUPTED


async def test_a_worker_at_rest_does_not_beat(root: Path) -> None:
    manager = open_manager(root, lease_s=2)
    assert list((root / "processes" / ".workers").iterdir()) == []
    record = train_on(manager, steps=3)
    assert len(list((root / "processes" / ".workers").iterdir())) == 1
    await ended(manager, record)
    await asyncio.to_thread(manager.close, Deadline.after(1))
    assert list((root / "processes" / ".workers").iterdir()) == []


async def test_no_guard_is_left_when_a_child_has_ended(manager: RealProcessManager) -> None:
    record = await running(manager, train_on(manager, steps=300).process_id)
    assert len(guards_of(record)) == 1
    await ended(manager, record)
    began = time.monotonic()
    while guards_of(record):
        assert time.monotonic() - began < SOON_S
        await asyncio.sleep(0.02)


def taken_over(manager: RealProcessManager, record: ProcessRecord) -> ProcessRecord:
    """What another worker writes when this one has stood still for too long; then this one wakes."""
    marked = record.moved(ProcessStatus.INTERRUPTED, generation=record.generation + 1, holder="another")
    manager._context.store.records.create(marked)
    manager._context.pulse._count.breaks += 1
    return marked


async def test_a_worker_that_wakes_answers_from_the_store_and_passes_messages_on(
    manager: RealProcessManager,
) -> None:
    first = train_on(manager, steps=5000)
    waiting = train_on(manager, steps=5)
    marked = taken_over(manager, waiting)
    taken_up = marked.moved(ProcessStatus.QUEUED, generation=3)
    manager._context.store.records.create(taken_up)
    assert manager.get(waiting.process_id) == taken_up
    assert not manager.holds(waiting.process_id)
    manager.ask(waiting.process_id, ControlRequest(save=True, grace_s=5))
    assert len(manager._context.store.mailbox.take(waiting.process_id)) == 1
    manager.ask(first.process_id, ControlRequest(save=False, grace_s=5))


async def test_a_worker_that_stood_still_and_lost_nothing_hears_a_cancel_of_what_waits(
    manager: RealProcessManager,
) -> None:
    first = train_on(manager, steps=5000)
    waiting = train_on(manager, steps=5)
    manager._context.pulse._count.breaks += 1
    manager.ask(waiting.process_id, ControlRequest(grace_s=5))
    assert (await ended(manager, waiting)).status is ProcessStatus.CANCELLED
    manager.ask(first.process_id, ControlRequest(save=False, grace_s=5))


class SweptHeartbeats(MemoryHeartbeats):
    """The keeper begins a sweep while the first heartbeat is written."""

    sweeps: list[threading.Thread]

    def write(self, holder: str, beat: Heartbeat) -> None:
        for sweep in self.sweeps:
            if sweep.ident is None:
                sweep.start()
        super().write(holder, beat)


class SweptRecords(MemoryRecords):
    """The sweep ends before the first generation begins."""

    def __init__(self, sweeps: list[threading.Thread]) -> None:
        super().__init__()
        self.sweeps = sweeps
        self.seen: list[list[str]] = []

    def create(self, record: ProcessRecord) -> None:
        for sweep in self.sweeps:
            sweep.join()
        self.seen.append(list(self.ids()))
        super().create(record)


async def test_a_sweep_before_a_process_has_begun_writes_nothing_of_it(root: Path) -> None:
    hearts, sweeps = SweptHeartbeats(), list[threading.Thread]()
    hearts.sweeps, records = sweeps, SweptRecords(sweeps)
    store = dataclasses.replace(open_memory_store(), records=records, heartbeats=hearts)
    manager = open_manager(root, store=store, warm=False)
    sweeps.append(threading.Thread(target=manager._keeper.sweep))
    record = train_on(manager, steps=3)
    assert records.seen == [[]]
    assert (await ended(manager, record)).status is ProcessStatus.COMPLETED
    await asyncio.to_thread(manager.close, Deadline.after(1))


async def test_what_was_taken_over_while_it_waited_is_not_started(
    manager: RealProcessManager, root: Path
) -> None:
    first = train_on(manager, steps=5000)
    await running(manager, first.process_id)
    waiting = train_on(manager, steps=5)
    marked = taken_over(manager, waiting)
    await asyncio.to_thread(manager.supervisors[first.process_id].stop, CANCEL)
    supervisor = manager.supervisors[waiting.process_id]
    assert await asyncio.to_thread(supervisor.join, SOON_S)
    assert manager.get(waiting.process_id) == marked
    assert not (root / "output" / waiting.process_id / "model").exists()
    assert "started" not in (root / "logs" / f"{waiting.process_id}.log").read_text()


async def test_a_job_that_is_handed_out_again_finds_its_process_and_does_not_undo_a_cancel(
    manager: RealProcessManager,
) -> None:
    order = TrainingOrder(trainer="script", config={"steps": 5000, "save_every": 10}, runpod_job_id="job-1")
    first = manager.submit("train", order)
    await running(manager, first.record.process_id)
    again = manager.submit("train", order)
    assert (again.record.process_id, again.retried, first.retried) == (first.record.process_id, True, False)
    manager.ask(first.record.process_id, ControlRequest(save=True, grace_s=5))
    await ended(manager, first.record)
    assert manager.submit("train", order).record.status is ProcessStatus.CANCELLED
    other_job = dataclasses.replace(order, runpod_job_id="job-2")
    assert manager.submit("train", other_job).record.process_id != first.record.process_id


async def test_a_job_that_is_handed_out_again_brings_the_order_that_a_killed_worker_could_not_keep(
    manager: RealProcessManager, root: Path
) -> None:
    order = TrainingOrder(trainer="script", config={"steps": 5000, "save_every": 10}, runpod_job_id="job-1")
    record = manager.submit("train", order).record
    kept = root / "processes" / record.process_id / ORDER_NAME
    kept.unlink()  # as it would be on a worker that was killed right after it had begun the process
    assert manager.submit("train", order).retried
    assert kept.exists()
    manager.ask(record.process_id, ControlRequest(grace_s=5))


def test_times_are_in_order() -> None:
    times = lease.LeaseTimes(lease_s=15)
    assert (
        2 * times.beat_s
        < times.fence_s
        < times.expiry_s
        < times.expiry_s + 2 * times.sweep_s
        <= times.lease_s
    )
