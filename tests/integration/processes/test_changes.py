"""What listens to processes cannot hurt them: it raises, it hangs, or the worker stood still."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lorapod.clock import SystemClock
from lorapod.deadline import Deadline
from lorapod.errors import ErrorCode
from lorapod.lease import LeaseState
from lorapod.processes.changes import Change, ChangeQueue
from lorapod.processes.child import process_started
from lorapod.processes.recovery import LOOKED_AT, MAX_AGE, resume_interrupted
from lorapod.processes.requests import ControlRequest
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.manager import SOON_S, ended, open_manager, task_on, train_on, until
from lorapod.testing.records import make_record
from lorapod.testing.store import open_memory_store
from lorapod.testing.task import CountingKind
from lorapod.testing.trainer import ScriptTrainer

LEASE_S = 2.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def in_training(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.RUNNING and record.progress.step > 0


@pytest.mark.expects_errors("a listener failed")
async def test_an_event_sink_that_raises_ends_no_training_and_nobody_waits_for_ever(root: Path) -> None:
    def broken(_record: ProcessRecord) -> None:
        raise RuntimeError("the sink is broken")

    manager = open_manager(root, on_start=broken, on_change=broken)
    end = await ended(manager, train_on(manager, steps=5, step_s=0.02))
    assert (end.status, end.failure) == (ProcessStatus.COMPLETED, None)
    assert manager.counts() == {}
    await asyncio.to_thread(manager.close, Deadline.after(5))


@pytest.mark.expects_errors("a listener failed")
async def test_a_waiter_that_raises_hurts_no_other(root: Path) -> None:
    manager = open_manager(root)
    record = train_on(manager, steps=5, step_s=0.02)

    def broken(_record: ProcessRecord) -> None:
        raise RuntimeError("its loop is closed")

    manager.listeners.add(record.process_id, broken)
    assert (await ended(manager, record)).status is ProcessStatus.COMPLETED
    await asyncio.to_thread(manager.close, Deadline.after(5))


async def test_a_sink_that_hangs_holds_up_no_training(root: Path) -> None:
    free = threading.Event()

    def hang(_record: ProcessRecord) -> None:
        free.wait(SOON_S)

    manager = open_manager(root, on_change=hang)
    record = train_on(manager, steps=5, step_s=0.02)
    seen = manager._records
    until_s = time.monotonic() + SOON_S
    while (stored := seen.load(record.process_id)) is None or not stored.status.final:
        assert time.monotonic() < until_s
        await asyncio.sleep(0.02)
    assert stored.status is ProcessStatus.COMPLETED
    free.set()
    assert (await ended(manager, record)).status is ProcessStatus.COMPLETED
    await asyncio.to_thread(manager.close, Deadline.after(5))


@pytest.mark.expects_errors("supervisor failed")
async def test_a_defect_in_a_reader_leaves_no_child_and_no_descriptor(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def line(self, text: str) -> None:
            raise RuntimeError(text)

        def poll(self) -> None:
            """See nothing."""

    monkeypatch.setattr(ScriptTrainer, "reader", lambda _self, _plan: Broken())
    manager = open_manager(root, warm=False)
    before = descriptors()
    end = await ended(manager, train_on(manager, steps=5000))
    assert end.failure is not None
    assert (end.status, end.failure.code) == (ProcessStatus.FAILED, ErrorCode.INTERNAL)
    assert end.pid is not None
    assert process_started(end.pid) is None
    # Threads that write and sweep open files for a moment, those of earlier tests' managers too: a leak stays.
    until_s = time.monotonic() + SOON_S
    while descriptors() > before:
        assert time.monotonic() < until_s
        await asyncio.sleep(0.02)
    await asyncio.to_thread(manager.close, Deadline.after(5))


#: A worker that is frozen past its lease, thawed, and then asked what it has left behind.
FROZEN = """
import asyncio, os, sys, time
from pathlib import Path
from lorapod.testing.manager import open_manager, train_on
manager = open_manager(Path(sys.argv[1]), worker_id="frozen", lease_s=float(sys.argv[2]), warm=False)
before = len(os.listdir("/proc/self/fd"))
record = train_on(manager, steps=5000)
while manager.get(record.process_id).progress.step == 0:
    time.sleep(0.02)
print(record.process_id, flush=True)
input()
until = time.monotonic() + 15
while record.process_id in manager.supervisors and time.monotonic() < until:
    time.sleep(0.05)
manager.changes.drain(5)
for _ in range(100):
    if len(os.listdir("/proc/self/fd")) <= before:
        break
    time.sleep(0.05)
zombies = [p for p in Path("/proc").glob("[0-9]*/stat") if p.exists()]
children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
print(sorted(manager.supervisors), len(os.listdir("/proc/self/fd")) - before, children, flush=True)
"""


async def test_a_worker_that_thaws_after_another_took_over_lets_go_of_everything(root: Path) -> None:
    argv = [sys.executable, "-c", FROZEN, str(root), str(LEASE_S)]
    frozen = subprocess.Popen(  # noqa: ASYNC220 - a worker of its own, which is frozen
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert frozen.stdin is not None
    assert frozen.stdout is not None
    assert frozen.stderr is not None
    manager = open_manager(root, worker_id="mine", lease_s=LEASE_S)
    try:
        process_id = frozen.stdout.readline().strip()
        frozen.send_signal(signal.SIGSTOP)
        record = manager.get(process_id)
        await until(manager, record, lambda now: now.status is ProcessStatus.INTERRUPTED)
        frozen.send_signal(signal.SIGCONT)
        out, journal = await asyncio.to_thread(frozen.communicate, "\n", SOON_S)
        assert out.strip() == "[] 0 []"
        assert "Traceback" not in journal
    finally:
        for number in (signal.SIGCONT, signal.SIGKILL):
            if frozen.poll() is None:
                frozen.send_signal(number)
        frozen.wait()
        await asyncio.to_thread(manager.close, Deadline.after(5))


async def test_five_tasks_that_hear_nothing_do_not_outlast_the_shutdown(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = open_manager(root, kinds=[CountingKind(needs_slot=False)])
    records = [task_on(manager, "count", steps=1000, step_s=0.02, deaf=True) for _ in range(5)]
    for record in records:
        await until(manager, record, lambda now: now.status is ProcessStatus.RUNNING)
    deadline = Deadline.after(1.0)
    asked: list[float] = []
    for supervisor in manager.supervisors.values():
        monkeypatch.setattr(supervisor, "join", recording(supervisor.join, asked))
    await asyncio.to_thread(manager.close, deadline)
    # No wait was granted more than what was left of the one budget, however many processes there are.
    assert max(asked) <= 1.0
    assert sum(asked) < 2.0
    (line,) = [each for each in caplog.records if "still run" in each.message]
    assert sorted(line.process_ids) == sorted(record.process_id for record in records)  # type: ignore[attr-defined]


def recording(join: Callable[[float], bool], asked: list[float]) -> Callable[[float], bool]:
    def recorded(timeout_s: float) -> bool:
        asked.append(timeout_s)
        return join(timeout_s)

    return recorded


async def test_all_are_asked_to_stop_before_any_is_waited_for(root: Path) -> None:
    manager = open_manager(root, gpus=(0, 1, 2))
    records = [train_on(manager, steps=5000, behaviour="ignore_sigint") for _ in range(3)]
    for record in records:
        await until(manager, record, in_training)
    stopping: set[str] = set()
    for record in records:
        manager.listeners.add(record.process_id, lambda now: _note(now, stopping))
    await asyncio.to_thread(manager.close, Deadline.after(4))
    assert stopping == {record.process_id for record in records}
    assert all(manager.get(record.process_id).status is ProcessStatus.INTERRUPTED for record in records)


def _note(now: ProcessRecord, stopping: set[str]) -> None:
    if now.status is ProcessStatus.STOPPING:
        stopping.add(now.process_id)


def test_recovery_reads_few_records_and_resumes_only_what_is_young(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_memory_store()
    clock = SystemClock()
    now = clock.now()
    old = make_record(
        process_id="train_000000000001", status=ProcessStatus.INTERRUPTED, created_at=now - 300 * MAX_AGE / 3
    )
    store.records.create(old)
    for number in range(2, 1503):
        store.records.create(
            make_record(
                process_id=f"train_{number:012x}",
                status=ProcessStatus.COMPLETED,
                created_at=now,
                ended_at=now,
            )
        )
    manager = open_manager(root, store=store)
    read: list[str] = []
    load = store.records.load

    def counted(process_id: str) -> ProcessRecord | None:
        read.append(process_id)
        return load(process_id)

    monkeypatch.setattr(store.records, "load", counted)
    try:
        resume_interrupted(manager, clock)
        assert len(read) <= LOOKED_AT
        # Also if nothing newer hides it, it is too old.
        few = open_memory_store()
        few.records.create(old)
        other = open_manager(root / "other", store=few)
        resume_interrupted(other, clock)
        found = few.records.load(old.process_id)
        assert found is not None
        assert found.status is ProcessStatus.INTERRUPTED
        other.close(Deadline.after(5))
    finally:
        manager.close(Deadline.after(5))


async def test_a_hundred_generations_do_not_hide_an_interrupted_training(root: Path) -> None:
    first = open_manager(root, worker_id="first", kinds=[CountingKind(needs_slot=False)])
    record = train_on(first, steps=5000, save_every=5)
    await until(first, record, in_training)
    for _ in range(LOOKED_AT + 5):
        task_on(first, "count", steps=0)
    await asyncio.to_thread(first.close, Deadline.after(5))
    later = open_manager(root, worker_id="later", kinds=[CountingKind(needs_slot=False)])
    await asyncio.to_thread(resume_interrupted, later, SystemClock())
    assert later.holds(record.process_id)
    later.ask(record.process_id, ControlRequest(save=False, grace_s=5))
    await ended(later, record)
    await asyncio.to_thread(later.close, Deadline.after(5))


def change(step: int, *, status: ProcessStatus = ProcessStatus.RUNNING, saved: bool = True) -> Change:
    record = make_record(status=status)
    record = record.changed(progress=record.progress.__class__(step=step))
    return Change(record=record, lease=LeaseState.HELD, saved=saved)


def test_changes_of_progress_alone_replace_each_other_while_they_wait() -> None:
    free, handed = threading.Event(), []

    def consume(each: Change) -> None:
        free.wait(SOON_S)
        handed.append((each.record.status, each.record.progress.step))

    queue = ChangeQueue(consume)
    queue.put(change(0))
    while queue._changes:
        os.sched_yield()
    for step in range(1, 1000):
        queue.put(change(step))
    queue.put(change(1000, status=ProcessStatus.COMPLETED))
    assert len(queue._changes) == 2
    free.set()
    assert queue.drain(SOON_S)
    assert handed == [
        (ProcessStatus.RUNNING, 0),
        (ProcessStatus.RUNNING, 999),
        (ProcessStatus.COMPLETED, 1000),
    ]
    assert queue.close(SOON_S)


def test_an_end_that_is_not_on_disk_is_not_certain() -> None:
    assert not change(1, status=ProcessStatus.COMPLETED, saved=False).certain
    assert change(1, saved=False).certain
