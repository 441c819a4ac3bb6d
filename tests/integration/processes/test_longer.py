"""A training that goes on for more steps than it was begun with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorapod.deadline import Deadline
from lorapod.errors import Conflict, InvalidInput
from lorapod.processes import manager as manager_module
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.requests import ControlRequest
from lorapod.records.limits import Continuation
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.testing.manager import ended, open_manager, train_on, until
from lorapod.weights import read_header, step_of
from lorapod.workspace import Workspace

LEASE_S = 2.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def manager(root: Path) -> Iterator[RealProcessManager]:
    opened = open_manager(root, lease_s=LEASE_S)
    yield opened
    opened.close(Deadline.after(5))


def weights(root: Path, record: ProcessRecord) -> dict[str, int | None]:
    """Each checkpoint and the step that its header names."""
    folder = record.run_folder(Workspace.create(root))
    return {path.name: step_of(read_header(path)) for path in folder.glob("*.safetensors")}


async def test_a_completed_training_goes_on_to_a_larger_total(
    manager: RealProcessManager, root: Path
) -> None:
    record = await ended(manager, train_on(manager, steps=4))
    assert weights(root, record) == {"model.safetensors": 4}
    again = manager.resume(record.process_id, changes=Continuation(steps=9))
    assert again.begun
    assert (again.record.progress.step, again.record.progress.total_steps) == (4, 9)
    end = await ended(manager, record)
    assert (end.status, end.resumed_from_step, end.generation) == (ProcessStatus.COMPLETED, 4, 2)
    assert (end.progress.step, end.progress.percent) == (9, 100.0)
    assert weights(root, record) == {"model_000000004.safetensors": 4, "model.safetensors": 9}


async def test_the_new_total_holds_for_later_resumes(manager: RealProcessManager, root: Path) -> None:
    record = await ended(manager, train_on(manager, steps=3))
    manager.resume(record.process_id, changes=Continuation(steps=2000))
    await until(manager, record, lambda now: now.status is ProcessStatus.RUNNING and now.progress.step > 5)
    manager.ask(record.process_id, ControlRequest(save=True, grace_s=5))
    stopped = await ended(manager, record)
    assert stopped.status is ProcessStatus.CANCELLED
    assert "model.safetensors" not in weights(root, record)
    assert manager.resume(record.process_id).record.progress.total_steps == 2000
    manager.ask(record.process_id, ControlRequest(save=False, grace_s=5))
    await ended(manager, record)


@pytest.mark.parametrize("steps", [1, 4])
async def test_a_total_that_is_not_larger_is_refused(manager: RealProcessManager, steps: int) -> None:
    record = await ended(manager, train_on(manager, steps=4))
    with pytest.raises(InvalidInput, match=f"total of 4 steps already; {steps} would not be more"):
        manager.resume(record.process_id, changes=Continuation(steps=steps))
    assert manager.get(record.process_id).status is ProcessStatus.COMPLETED


async def test_without_steps_a_completed_training_stays_completed(manager: RealProcessManager) -> None:
    record = await ended(manager, train_on(manager, steps=2))
    with pytest.raises(Conflict, match="nothing to resume") as caught:
        manager.resume(record.process_id)
    assert "`steps`" in caught.value.hint


async def test_a_running_training_is_not_made_longer(manager: RealProcessManager) -> None:
    record = train_on(manager, steps=2000)
    with pytest.raises(Conflict, match="nothing to resume"):
        manager.resume(record.process_id, changes=Continuation(steps=3000))
    manager.ask(record.process_id, ControlRequest(save=False, grace_s=5))
    await ended(manager, record)


async def test_a_completed_training_without_weights_is_not_begun_anew(
    manager: RealProcessManager, root: Path
) -> None:
    record = await ended(manager, train_on(manager, steps=2))
    (record.run_folder(Workspace.create(root)) / "model.safetensors").unlink()
    with pytest.raises(Conflict, match="no whole checkpoint left"):
        manager.resume(record.process_id, changes=Continuation(steps=9))


async def test_the_job_that_made_it_longer_finds_it_when_it_is_delivered_again(
    manager: RealProcessManager,
) -> None:
    record = await ended(manager, train_on(manager, steps=2))
    first = manager.resume(record.process_id, changes=Continuation(steps=2000), runpod_job_id="job-2")
    again = manager.resume(record.process_id, changes=Continuation(steps=2000), runpod_job_id="job-2")
    assert (first.begun, again.begun, again.retried) == (True, False, True)
    manager.ask(record.process_id, ControlRequest(save=False, grace_s=5))
    await ended(manager, record)


async def test_a_worker_that_dies_before_it_keeps_the_order_loses_no_steps(
    manager: RealProcessManager, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await ended(manager, train_on(manager, steps=3))

    class Killed(BaseException):
        """In place of SIGKILL: nothing of the worker runs any more."""

    def killed(*_arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(manager_module, "keep_order", killed)
        with pytest.raises(Killed):
            manager.resume(record.process_id, changes=Continuation(steps=8))
    # The keeper finds a process that no supervisor holds.
    await until(manager, record, lambda now: now.status is ProcessStatus.INTERRUPTED)
    manager.resume(record.process_id)
    end = await ended(manager, record)
    assert (end.status, end.progress.step) == (ProcessStatus.COMPLETED, 8)
    assert weights(root, record)["model.safetensors"] == 8
