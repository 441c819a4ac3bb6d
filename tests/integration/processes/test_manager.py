"""The process manager with real children."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lorapod.deadline import Deadline
from lorapod.errors import Conflict, ErrorCode, InvalidInput, NotFound
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.requests import ControlRequest
from lorapod.processes.store.file import FileRecords
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus
from lorapod.testing.manager import SOON_S, ended, open_manager, train_on, until
from lorapod.workspace import Workspace

Train = Callable[..., ProcessRecord]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def manager(workspace: Workspace) -> Iterator[RealProcessManager]:
    opened = open_manager(workspace.root)
    yield opened
    opened.close(Deadline.after(5))


@pytest.fixture
def train(manager: RealProcessManager) -> Train:
    return lambda **config: train_on(manager, **config)


def stop(
    manager: RealProcessManager, record: ProcessRecord, *, save: bool = False, grace_s: float = 5
) -> None:
    manager.ask(record.process_id, ControlRequest(save=save, grace_s=grace_s))


def in_training(record: ProcessRecord) -> bool:
    return record.status is ProcessStatus.RUNNING and record.progress.step > 0


def group_members(group: int | None) -> list[int]:
    assert group is not None
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members


async def test_a_training_from_queue_to_end(
    manager: RealProcessManager, train: Train, workspace: Workspace
) -> None:
    seen: list[ProcessStatus] = []
    record = train(steps=5, step_s=0.05)
    assert record.status is ProcessStatus.QUEUED
    end = await asyncio.wait_for(
        manager.wait_until(
            record.process_id, lambda now: now.status.final, lambda now: seen.append(now.status)
        ),
        SOON_S,
    )
    assert end.status is ProcessStatus.COMPLETED
    assert (end.exit_code, end.signal, end.failure) == (0, None, None)
    assert (end.progress.step, end.progress.percent, end.progress.loss) == (5, 100.0, 0.2)
    assert end.started_at is not None
    assert end.ended_at is not None
    assert end.ended_at > end.started_at >= end.created_at
    assert ProcessStatus.RUNNING in seen
    assert "started model with script" in workspace.log_path(record.process_id).read_text()
    assert manager.counts() == {}


async def test_a_later_worker_answers_for_it(
    manager: RealProcessManager, train: Train, workspace: Workspace
) -> None:
    end = await ended(manager, train(steps=2))
    later = open_manager(workspace.root, worker_id="worker-2")
    assert later.get(end.process_id) == end
    assert later.page(status=ProcessStatus.COMPLETED, limit=10, before=None) == ([end], None)


async def test_one_slot_runs_one_after_the_other(manager: RealProcessManager, train: Train) -> None:
    first = train(steps=200)
    await until(manager, first, in_training)
    second = train(steps=2)
    assert manager.get(second.process_id).status is ProcessStatus.QUEUED
    assert manager.counts() == {"running": 1, "queued": 1}
    stop(manager, first, save=False, grace_s=5)
    assert (await ended(manager, first)).status is ProcessStatus.CANCELLED
    assert (await ended(manager, second)).status is ProcessStatus.COMPLETED


async def test_two_gpus_run_two_at_once_and_each_sees_its_own(workspace: Workspace) -> None:
    manager = open_manager(workspace.root, gpus=(0, 3))
    records = [train_on(manager, steps=100, behaviour="environment") for _ in range(2)]
    devices = set()
    for record in records:
        await until(manager, record, in_training)
        environment = json.loads(workspace.log_path(record.process_id).read_text().splitlines()[1])
        devices.add(environment["CUDA_VISIBLE_DEVICES"])
    assert devices == {"0", "3"}
    manager.close(Deadline.after(5))


async def test_a_training_names_the_gpu_that_it_had(workspace: Workspace) -> None:
    manager = open_manager(workspace.root, gpus=(3,), gpu_name={3: "NVIDIA A40"}.get)
    try:
        record = await ended(manager, train_on(manager))
    finally:
        manager.close(Deadline.after(5))

    assert record.training is not None
    assert record.training.gpu == "NVIDIA A40"


async def test_the_child_sees_the_given_environment_and_no_more(
    manager: RealProcessManager, train: Train, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_AI_API_KEY", "planted-secret")
    end = await ended(manager, train(steps=1, behaviour="environment"))
    log = workspace.log_path(end.process_id).read_text()
    assert "planted-secret" not in log
    environment = json.loads(log.splitlines()[1])
    assert set(environment) - {"LC_CTYPE"} == {
        "PATH",
        "PYTHONUNBUFFERED",
        "CUDA_DEVICE_ORDER",
        "CUDA_VISIBLE_DEVICES",
        "SCRIPT",
    }


async def test_cancel_while_it_waits(manager: RealProcessManager, train: Train, workspace: Workspace) -> None:
    first, second = train(steps=500), train(steps=5)
    stop(manager, second, save=True)
    assert (await ended(manager, second)).status is ProcessStatus.CANCELLED
    assert not workspace.log_path(second.process_id).exists()
    stop(manager, first, save=False, grace_s=5)


async def test_cancel_with_save_leaves_a_checkpoint_of_the_step_it_stopped_at(
    manager: RealProcessManager, train: Train, workspace: Workspace
) -> None:
    record = train(steps=2000)
    await until(manager, record, in_training)
    stop(manager, record, save=True, grace_s=10)
    end = await ended(manager, record)
    assert end.status is ProcessStatus.CANCELLED
    assert end.exit_code == 0
    saved = [path.name for path in (workspace.output_folder(end.process_id) / "model").glob("*.safetensors")]
    assert len(saved) == 1
    assert end.progress.step - int(saved[0][-21:-12]) <= 30


@pytest.mark.parametrize(
    ("behaviour", "ended_by"), [("ignore_sigint", "SIGTERM"), ("ignore_sigterm", "SIGKILL")]
)
async def test_a_child_that_ignores_signals_is_ended_all_the_same(
    manager: RealProcessManager,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: str,
    ended_by: str,
) -> None:
    monkeypatch.setattr("lorapod.processes.stopping.TERM_GRACE_S", 0.3)
    record = train(steps=5000, behaviour=behaviour)
    await until(manager, record, in_training)
    stop(manager, record, save=False, grace_s=0.3)
    end = await ended(manager, record)
    assert (end.status, end.signal, end.exit_code) == (ProcessStatus.CANCELLED, ended_by, None)


async def test_a_crash_is_a_failure_with_its_message(manager: RealProcessManager, train: Train) -> None:
    end = await ended(manager, train(steps=4, behaviour="crash"))
    assert (end.status, end.exit_code) == (ProcessStatus.FAILED, 3)
    assert end.failure is not None
    assert "something broke" in end.failure.message


async def test_a_kill_from_outside_is_a_failure_with_its_signal(
    manager: RealProcessManager, train: Train
) -> None:
    record = await until(manager, train(steps=5000), in_training)
    assert record.pid is not None
    os.kill(record.pid, signal.SIGKILL)
    end = await ended(manager, record)
    assert (end.status, end.signal) == (ProcessStatus.FAILED, "SIGKILL")


async def test_an_interrupt_from_outside_leaves_it_interrupted(
    manager: RealProcessManager, train: Train
) -> None:
    record = await until(manager, train(steps=5000), in_training)
    assert record.pid is not None
    os.kill(record.pid, signal.SIGINT)
    assert (await ended(manager, record)).status is ProcessStatus.INTERRUPTED


async def test_nothing_of_the_group_outlives_the_child(manager: RealProcessManager, train: Train) -> None:
    record = await until(manager, train(steps=30, behaviour="orphan"), in_training)
    assert len(group_members(record.pid)) == 2
    end = await ended(manager, record)
    assert end.status is ProcessStatus.COMPLETED
    assert group_members(record.pid) == []


async def test_closing_the_worker_interrupts_with_a_checkpoint(workspace: Workspace) -> None:
    manager = open_manager(workspace.root)
    record = await until(manager, train_on(manager, steps=5000), in_training)
    waiting = train_on(manager, steps=5)
    await asyncio.to_thread(manager.close, Deadline.after(10))
    ends = [open_manager(workspace.root).get(each.process_id) for each in (record, waiting)]
    assert [end.status for end in ends] == [ProcessStatus.INTERRUPTED] * 2
    assert list((workspace.output_folder(record.process_id) / "model").glob("model_*.safetensors"))
    with pytest.raises(Conflict, match="stopped"):
        train_on(manager, steps=1)


async def test_a_program_that_is_not_there_fails_the_process(
    manager: RealProcessManager, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorapod.testing.trainer.sys.executable", "/nonexistent/python")
    end = await ended(manager, train(steps=1))
    assert end.status is ProcessStatus.FAILED
    assert end.failure is not None
    assert "could not be started" in end.failure.message


async def test_a_full_log_does_not_stop_the_training(workspace: Workspace) -> None:
    manager = open_manager(workspace.root, max_log_bytes=20_000)
    end = await ended(manager, train_on(manager, steps=50, behaviour="flood", step_s=0))
    assert end.status is ProcessStatus.COMPLETED
    manager.close(Deadline.after(1))


async def test_a_store_that_cannot_be_written_does_not_stop_the_training(
    manager: RealProcessManager, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await until(manager, train(steps=60), in_training)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileRecords, "save", full)
    end = await ended(manager, record)
    assert end.status is ProcessStatus.COMPLETED
    assert manager.get(record.process_id) == end
    monkeypatch.undo()


async def test_the_same_key_starts_one_process(manager: RealProcessManager, train: Train) -> None:
    first = train(steps=3, idempotency_key="mine")
    again = train(steps=3, idempotency_key="mine")
    assert again.process_id == first.process_id
    await ended(manager, first)
    assert train(steps=3, idempotency_key="mine").process_id == first.process_id
    assert train(steps=3, idempotency_key="other").process_id != first.process_id


async def test_a_request_that_comes_again_is_not_refused_because_of_its_own_process(
    manager: RealProcessManager, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await until(manager, train(steps=100, idempotency_key="mine"), in_training)

    def in_use(*_: object) -> None:
        raise Conflict(f"The dataset is used by {first.process_id}.")

    monkeypatch.setattr(type(manager.kinds["train"]), "plan", in_use)
    again = train(steps=100, idempotency_key="mine")
    with pytest.raises(Conflict):
        train(steps=100, idempotency_key="other")
    monkeypatch.undo()
    stop(manager, first)
    await ended(manager, first)

    assert again.process_id == first.process_id


async def test_what_cannot_be_prepared_leaves_nothing(
    manager: RealProcessManager, train: Train, workspace: Workspace
) -> None:
    with pytest.raises(InvalidInput):
        train(steps="many")
    assert manager.page(status=None, limit=10, before=None) == ([], None)
    assert list(workspace.output.iterdir()) == []


async def test_what_has_ended_cannot_be_cancelled(manager: RealProcessManager, train: Train) -> None:
    end = await ended(manager, train(steps=1))
    with pytest.raises(Conflict, match="completed"):
        stop(manager, end)


def test_an_unknown_process_is_not_found(manager: RealProcessManager) -> None:
    with pytest.raises(NotFound):
        manager.get("train_ffffffffffff")


async def test_pages_go_through_every_process_once(manager: RealProcessManager, train: Train) -> None:
    made = [train(steps=1) for _ in range(5)]
    for record in made:
        await ended(manager, record)
    found: list[str] = []
    before: str | None = None
    while True:
        page, before = manager.page(status=None, limit=2, before=before)
        found += [record.process_id for record in page]
        if before is None:
            break
    assert sorted(found) == sorted(record.process_id for record in made)
    assert len(found) == 5


@pytest.mark.expects_errors("supervisor failed")
async def test_a_defect_in_the_supervisor_fails_the_process_and_ends_its_child(
    manager: RealProcessManager, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("lorapod.testing.trainer.ScriptTrainer.outcome", broken)
    end = await ended(manager, train(steps=1))
    assert end.failure is not None
    assert end.failure.code is ErrorCode.INTERNAL


async def test_waiting_can_be_cancelled_without_a_trace(manager: RealProcessManager, train: Train) -> None:
    record = await until(manager, train(steps=500), lambda now: now.phase is Phase.TRAINING)
    waiter = asyncio.create_task(ended(manager, record))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert manager.listeners._listeners == {}
    stop(manager, record, save=False, grace_s=1)


async def test_two_keys_that_draw_the_same_id_get_a_process_each(
    manager: RealProcessManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(
        ["train_000000000001", "train_000000000001", *(f"train_{each:012x}" for each in range(2, 9))]
    )
    monkeypatch.setattr("lorapod.processes.manager.new_process_id", lambda _kind, _moment: next(drawn))
    first, second = (train_on(manager, steps=3, idempotency_key=key) for key in ("one", "two"))
    assert first.process_id != second.process_id
    again = [train_on(manager, steps=3, idempotency_key=key).process_id for key in ("one", "two")]
    assert again == [first.process_id, second.process_id]
    await ended(manager, second)
