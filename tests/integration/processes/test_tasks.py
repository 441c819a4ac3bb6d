"""Tasks: processes whose work is done in their supervisor's own thread."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from lorapod.deadline import Deadline
from lorapod.errors import Conflict, ErrorCode, InvalidInput, Unsupported
from lorapod.processes.child import same_process
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TaskOrder
from lorapod.processes.requests import Capability, ControlRequest
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.manager import SOON_S, ended, open_manager, task_on, train_on, until
from lorapod.testing.task import CountingKind
from lorapod.workspace import Workspace


class Lodger:
    """A resident that says when it was released, and who held the GPU then."""

    def __init__(self) -> None:
        self.released_at: list[float] = []

    def release(self) -> None:
        self.released_at.append(time.time())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def lodger() -> Lodger:
    return Lodger()


@pytest.fixture
def kind(lodger: Lodger) -> CountingKind:
    return CountingKind(resident=lodger)


@pytest.fixture
def manager(workspace: Workspace, kind: CountingKind) -> Iterator[RealProcessManager]:
    light = CountingKind("fetch", needs_slot=False, resumable=True)
    opened = open_manager(workspace.root, kinds=[kind, light])
    yield opened
    opened.close(Deadline.after(5))


def running(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.RUNNING and record.progress.step > 0


async def soon(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON_S):
        while not reached():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.02)


def cancel(manager: RealProcessManager, record: ProcessRecord) -> None:
    manager.ask(record.process_id, ControlRequest(grace_s=5))


async def test_a_task_from_the_line_to_its_end(
    manager: RealProcessManager, kind: CountingKind, workspace: Workspace
) -> None:
    record = task_on(manager, "count", steps=5)
    assert record.status is ProcessStatus.QUEUED
    assert record.process_id.startswith("count_")

    end = await ended(manager, record)

    assert end.status is ProcessStatus.COMPLETED
    assert end.outcome == {"counted": 5}
    assert (end.progress.step, end.progress.percent) == (5, 100.0)
    assert end.started_at
    assert end.ended_at
    assert "counted to 5" in workspace.log_path(record.process_id).read_text()
    assert kind.cleaned == [record.process_id]
    listed, _ = manager.page(status=None, limit=10, before=None)
    assert [(known.process_id, known.type) for known in listed] == [(record.process_id, "count")]


async def test_what_a_kind_refuses_leaves_nothing_behind(manager: RealProcessManager) -> None:
    with pytest.raises(InvalidInput):
        task_on(manager, "count", steps=-1)
    assert manager.page(status=None, limit=10, before=None) == ([], None)


async def test_a_failure_keeps_its_code_and_its_sentence(
    manager: RealProcessManager, kind: CountingKind
) -> None:
    end = await ended(manager, task_on(manager, "count", fail="The counter is away."))

    assert end.status is ProcessStatus.FAILED
    assert end.failure is not None
    assert (end.failure.code, end.failure.message) == (ErrorCode.UPSTREAM_ERROR, "The counter is away.")
    assert kind.cleaned == [end.process_id]


async def test_a_full_disk_is_told(manager: RealProcessManager) -> None:
    end = await ended(manager, task_on(manager, "count", full=True))
    assert end.failure is not None
    assert end.failure.code is ErrorCode.INSUFFICIENT_STORAGE


async def test_a_worker_that_was_frozen_does_not_go_on_with_what_another_has_marked_dead(
    workspace: Workspace,
) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from lorapod.testing.manager import open_manager, task_on\n"
        "from lorapod.testing.task import CountingKind\n"
        "kind = CountingKind()\n"
        "manager = open_manager(pathlib.Path(sys.argv[1]), kinds=[kind], worker_id='worker-2')\n"
        "task_on(manager, 'count', steps=10_000, step_s=0.05, mute=True)\n"
        "while not kind.cleaned:\n"
        "    time.sleep(0.05)\n"
    )
    manager = open_manager(workspace.root, kinds=[CountingKind()])
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(workspace.root))
    await soon(lambda: manager.page(status=ProcessStatus.RUNNING, limit=1, before=None)[0])
    (record,), _ = manager.page(status=None, limit=1, before=None)

    worker.send_signal(signal.SIGSTOP)
    assert (await ended(manager, record)).status is ProcessStatus.INTERRUPTED
    worker.send_signal(signal.SIGCONT)

    assert await asyncio.wait_for(worker.wait(), SOON_S) == 0
    assert manager.get(record.process_id).status is ProcessStatus.INTERRUPTED
    manager.close(Deadline.after(5))


async def test_a_running_task_is_cancelled(manager: RealProcessManager) -> None:
    record = task_on(manager, "count", steps=1000, step_s=0.05)
    await until(manager, record, running)
    seen: list[ProcessStatus] = []
    manager.listeners.add(record.process_id, lambda now: seen.append(now.status))

    cancel(manager, record)
    end = await ended(manager, record)

    assert end.status is ProcessStatus.CANCELLED
    assert ProcessStatus.STOPPING in seen


async def test_a_waiting_task_is_cancelled_and_cleaned_up_after(
    manager: RealProcessManager, kind: CountingKind
) -> None:
    first = task_on(manager, "count", steps=1000, step_s=0.05)
    await until(manager, first, running)
    second = task_on(manager, "count")

    cancel(manager, second)
    assert (await ended(manager, second)).status is ProcessStatus.CANCELLED
    await soon(lambda: second.process_id in kind.cleaned)
    cancel(manager, first)


async def test_a_task_can_be_asked_for_nothing_but_its_end(manager: RealProcessManager) -> None:
    record = task_on(manager, "count", steps=1000, step_s=0.05)
    await until(manager, record, running)

    with pytest.raises(Unsupported, match="A process of type count cannot save on request"):
        manager.ask(record.process_id, ControlRequest(capability=Capability.SAVE))
    cancel(manager, record)


async def test_a_stopping_worker_interrupts_its_tasks(workspace: Workspace) -> None:
    manager = open_manager(workspace.root, kinds=[CountingKind()])
    record = task_on(manager, "count", steps=1000, step_s=0.05)
    await until(manager, record, running)

    await asyncio.to_thread(manager.close, Deadline.after(5))

    assert manager.get(record.process_id).status is ProcessStatus.INTERRUPTED


async def test_another_worker_cancels_a_task(workspace: Workspace, manager: RealProcessManager) -> None:
    record = task_on(manager, "count", steps=1000, step_s=0.05)
    await until(manager, record, running)
    other = open_manager(workspace.root, worker_id="worker-2", kinds=[CountingKind()])

    await asyncio.to_thread(cancel, other, record)

    assert (await ended(manager, record)).status is ProcessStatus.CANCELLED
    other.close(Deadline.after(5))


async def test_only_what_can_go_on_is_resumed(manager: RealProcessManager) -> None:
    count = task_on(manager, "count", steps=1000, step_s=0.05)
    fetch = task_on(manager, "fetch", steps=30, step_s=0.05)
    for record in (count, fetch):
        await until(manager, record, running)
        cancel(manager, record)
        await ended(manager, record)

    with pytest.raises(Unsupported, match="A count is not taken up again"):
        manager.resume(count.process_id)
    resumed = manager.resume(fetch.process_id).record

    assert (resumed.process_id, resumed.generation) == (fetch.process_id, 2)
    assert (await ended(manager, resumed)).outcome == {"counted": 30}


async def test_the_same_job_handed_out_again_begins_anew(workspace: Workspace) -> None:
    first = open_manager(workspace.root, kinds=[CountingKind()])
    record = task_on(first, "count", steps=20, step_s=0.05, runpod_job_id="job-1")
    await until(first, record, running)
    await asyncio.to_thread(first.close, Deadline.after(5))
    second = open_manager(workspace.root, worker_id="worker-2", kinds=[CountingKind()])

    again = task_on(second, "count", steps=20, step_s=0.05, runpod_job_id="job-1")

    assert (again.process_id, again.generation, again.worker_id) == (record.process_id, 2, "worker-2")
    end = await ended(second, again)
    assert end.outcome == {"counted": 20}
    assert task_on(second, "count", steps=20, runpod_job_id="job-1") == end
    second.close(Deadline.after(5))


async def test_a_failure_is_no_other_for_the_same_job(manager: RealProcessManager) -> None:
    record = await ended(manager, task_on(manager, "count", fail="Away.", runpod_job_id="job-1"))
    assert task_on(manager, "count", fail="Away.", runpod_job_id="job-1") == record


async def test_nothing_private_is_kept(manager: RealProcessManager, workspace: Workspace) -> None:
    live = {"key": SecretStr("planted-secret")}
    await ended(manager, manager.submit("count", TaskOrder(input={"steps": 1}), live=live).record)
    # Nothing is written, and no mark removed, while it is looked through.
    await asyncio.to_thread(manager.close, Deadline.after(5))

    kept = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"planted" in path.read_bytes() or b"private" in path.read_bytes()]


class TestTheGpu:
    async def test_is_held_by_one_at_a_time(self, manager: RealProcessManager) -> None:
        training = train_on(manager, steps=1000, step_s=0.02)
        await until(manager, training, running)
        count = task_on(manager, "count")
        fetch = task_on(manager, "fetch")

        # What needs no GPU does not wait for one.
        assert (await ended(manager, fetch)).status is ProcessStatus.COMPLETED
        assert manager.get(count.process_id).status is ProcessStatus.QUEUED
        manager.ask(training.process_id, ControlRequest(save=False, grace_s=5))
        assert (await ended(manager, count)).status is ProcessStatus.COMPLETED

    async def test_is_given_up_for_a_training_and_kept_for_the_next_task(
        self, manager: RealProcessManager, lodger: Lodger
    ) -> None:
        for _ in range(2):
            await ended(manager, task_on(manager, "count"))
        assert lodger.released_at == []

        training = await ended(manager, train_on(manager, steps=3))

        assert len(lodger.released_at) == 1
        assert training.started_at is not None
        assert lodger.released_at[0] <= training.started_at.timestamp()
        await ended(manager, task_on(manager, "count"))
        assert len(lodger.released_at) == 1

    async def test_what_need_not_wait_is_refused_with_the_time(self, manager: RealProcessManager) -> None:
        first = task_on(manager, "count", steps=100, step_s=0.1, refuse_if_busy=True)
        await until(manager, first, running)

        with pytest.raises(Conflict, match=rf"taken by {first.process_id}: for about \d+ s") as refused:
            task_on(manager, "count", refuse_if_busy=True)

        detail = refused.value.details[0]
        assert 5 < detail["estimated_wait_s"] <= 10
        assert detail["ahead"] == 1
        task_on(manager, "fetch", refuse_if_busy=True)
        queued = task_on(manager, "count")
        with pytest.raises(Conflict, match="and 1 more wait: for at least"):
            task_on(manager, "count", refuse_if_busy=True)
        for record in (queued, first):
            cancel(manager, record)
            await ended(manager, record)
        await ended(manager, task_on(manager, "count", refuse_if_busy=True))

    async def test_another_one_is_no_use_to_an_engine_that_is_busy(self, workspace: Workspace) -> None:
        engines = [CountingKind("count", resident=Lodger()), CountingKind("paint", resident=Lodger())]
        manager = open_manager(workspace.root, kinds=engines, gpus=(0, 1))
        first = task_on(manager, "count", steps=1000, step_s=0.02)
        await until(manager, first, running)

        with pytest.raises(Conflict, match=f"taken by {first.process_id}: for about"):
            task_on(manager, "count", refuse_if_busy=True)

        other = task_on(manager, "paint", refuse_if_busy=True)
        assert (await ended(manager, other)).status is ProcessStatus.COMPLETED
        cancel(manager, first)
        await ended(manager, first)
        manager.close(Deadline.after(5))


class TestAChildOfATask:
    async def test_is_run_to_its_end(self, manager: RealProcessManager, workspace: Workspace) -> None:
        end = await ended(manager, task_on(manager, "count", child="print('hello from the child')"))

        assert end.outcome == {"exit_code": 0, "signal": None}
        assert "hello from the child" in workspace.log_path(end.process_id).read_text()
        assert end.pid is None

    async def test_is_stopped_with_its_task(self, manager: RealProcessManager) -> None:
        record = task_on(manager, "count", child="import time; time.sleep(60)")
        now = await until(manager, record, lambda now: now.pid is not None)
        assert now.pid is not None

        cancel(manager, record)

        assert (await ended(manager, record)).status is ProcessStatus.CANCELLED
        assert not same_process(now.pid, now.pid_started)

    async def test_dies_with_its_worker(self, workspace: Workspace) -> None:
        program = (
            "import pathlib, sys, time\n"
            "from lorapod.testing.manager import open_manager, task_on\n"
            "from lorapod.testing.task import CountingKind\n"
            "manager = open_manager(pathlib.Path(sys.argv[1]), kinds=[CountingKind()], worker_id='worker-2')\n"
            "task_on(manager, 'count', child='import time; time.sleep(60)')\n"
            "time.sleep(60)\n"
        )
        manager = open_manager(workspace.root, kinds=[CountingKind()])
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(workspace.root))

        def child() -> int | None:
            known, _ = manager.page(status=None, limit=1, before=None)
            return known[0].pid if known else None

        await soon(child)
        (record,), _ = manager.page(status=None, limit=1, before=None)
        worker.kill()
        await worker.wait()

        assert (await ended(manager, record)).status is ProcessStatus.INTERRUPTED
        assert record.pid is not None
        await soon(lambda: not same_process(record.pid or 0, record.pid_started))
        manager.close(Deadline.after(5))
