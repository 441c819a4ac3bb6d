"""Beginning to hold a process: what fails on the way, or is cut short, leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import resource
import selectors
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorapod.deadline import Deadline
from lorapod.errors import Conflict
from lorapod.processes.child import start_child
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TaskOrder
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.records.stored_record import RECORD_NAME
from lorapod.testing.manager import SOON_S, ended, open_manager, task_on, train_on, until
from lorapod.testing.store import MemoryRecords, open_memory_store
from lorapod.testing.task import CountingKind


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def manager(root: Path) -> Iterator[RealProcessManager]:
    opened = open_manager(root, warm=False, kinds=[CountingKind()])
    yield opened
    opened.close(Deadline.after(5))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_refused_process_leaves_no_descriptor(manager: RealProcessManager) -> None:
    holder = task_on(manager, "count", steps=2000)
    await until(manager, holder, lambda now: now.status is ProcessStatus.RUNNING)
    before = descriptors()
    for _ in range(20):
        with pytest.raises(Conflict):
            task_on(manager, "count", refuse_if_busy=True)
    assert descriptors() < before + 5


class SlowRecords(MemoryRecords):
    """A store whose disk answers late."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = threading.Event(), threading.Event()

    def create(self, record: ProcessRecord) -> None:
        self.asked.set()
        self.answers.wait(SOON_S)
        super().create(record)


async def test_a_guard_watches_in_a_worker_with_a_thousand_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    spec = LaunchSpec(argv=(sys.executable, "-S", "-c", "import time; time.sleep(60)"), cwd=Path.cwd())
    child = start_child(spec, dict(os.environ), fence_s=1.0)
    try:
        child.guard_line.tell(time.monotonic())
        exits = selectors.DefaultSelector()
        exits.register(child.exit_descriptor, selectors.EVENT_READ)
        assert await asyncio.to_thread(exits.select, 10)
        exits.close()
    finally:
        child.signal(signal.SIGKILL)
        exit_ = child.reap()
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert exit_.fenced_after_s is not None


async def test_a_worker_that_is_stopped_while_a_process_begins_stops_all_others(root: Path) -> None:
    records = SlowRecords()
    store = open_memory_store()
    store = type(store)(
        records=records, orders=store.orders, heartbeats=store.heartbeats, mailbox=store.mailbox
    )
    manager = open_manager(root, store=store, gpus=(0, 1))
    records.answers.set()
    running = train_on(manager, steps=5000)
    await until(manager, running, lambda now: now.progress.step > 0)
    records.answers.clear()
    records.asked.clear()
    beginning = asyncio.create_task(asyncio.to_thread(train_on, manager, steps=5000))
    await asyncio.to_thread(records.asked.wait, SOON_S)
    await asyncio.to_thread(manager.close, Deadline.after(4))
    stored = records.load(running.process_id)
    assert stored is not None
    assert stored.status is ProcessStatus.INTERRUPTED
    records.answers.set()
    late = await beginning
    # It began after all had been asked to stop: it heard that too.
    assert await asyncio.to_thread(manager.supervisors[late.process_id].join, SOON_S)
    assert manager.supervisors[late.process_id].record.status is ProcessStatus.INTERRUPTED


async def test_a_resume_of_what_this_worker_has_not_let_go_of_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorapod.processes.manager.LET_GO_S", 0.05)
    free = threading.Event()

    def hang(record: ProcessRecord) -> None:
        if record.status.final:
            free.wait(SOON_S)

    manager = open_manager(root, warm=False, kinds=[CountingKind(resumable=True)], on_change=hang)
    record = task_on(manager, "count", fail="it cannot")
    assert await asyncio.to_thread(manager.supervisors[record.process_id].join, SOON_S)
    with pytest.raises(Conflict, match="This worker"):
        manager.resume(record.process_id)
    free.set()
    await ended(manager, record)
    assert manager.resume(record.process_id).begun
    await asyncio.to_thread(manager.close, Deadline.after(5))


async def test_a_process_that_cannot_be_written_is_not_listed_as_live(
    manager: RealProcessManager, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("lorapod.processes.store.file.write_atomically", full)
        with pytest.raises(OSError, match="No space"):
            task_on(manager, "count")
    assert list((root / "processes" / ".live").iterdir()) == []


async def test_a_process_whose_thread_cannot_be_started_is_interrupted(
    manager: RealProcessManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_supervisor: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("lorapod.processes.supervisor.Supervisor.start", refuse)
        with pytest.raises(RuntimeError):
            task_on(manager, "count")
    (page, _) = manager.page(status=None, limit=1, before=None)
    assert (await ended(manager, page[0])).status is ProcessStatus.INTERRUPTED


async def test_a_key_whose_record_cannot_be_read_is_refused(
    manager: RealProcessManager, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = TaskOrder(input={}, idempotency_key="mine")
    first = manager.submit("count", order).record
    await ended(manager, first)
    if (held := manager.supervisors.get(first.process_id)) is not None:
        # Its end is known a moment before it is on disk.
        assert await asyncio.to_thread(held.join, SOON_S)
    (root / "processes" / first.process_id / RECORD_NAME).write_text('{"version": 999}')
    claims = []
    claim_key = manager._records.claim_key

    def counted(key: str, process_id: str) -> str:
        claims.append(key)
        assert len(claims) < 20, "it tries for ever"
        return claim_key(key, process_id)

    monkeypatch.setattr(manager._records, "claim_key", counted)
    with pytest.raises(Conflict, match=first.process_id):
        await asyncio.to_thread(manager.submit, "count", order)
