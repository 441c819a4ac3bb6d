"""Sweeps: several trainings from one request, on real workers with the script trainer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lorapod.actions.action import RunPodJob
from lorapod.errors import InvalidInput
from lorapod.events.event_data import SweepStoppedData
from lorapod.events.event_types import EventType
from lorapod.events.models import Event
from lorapod.events.outbox import Outbox
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, Order
from lorapod.settings import Settings
from lorapod.testing.pictures import draw_dataset
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.port import TrainingPlan, TrainingRequest
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker
from lorapod.workspace import Workspace

SOON_S = 60.0


class PresetTrainer(ScriptTrainer):
    """Trains what a preset says in a moment: `steps` steps; a rank of 13 is refused."""

    name = "builtin"

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        process = request.config["config"]["process"][0]
        if process["network"]["linear"] == 13:
            place = "config.process[0].network.linear"
            raise InvalidInput(f"{place}: is unlucky.", details=[{"field": place, "error": "is unlucky"}])
        script = {"steps": process["train"]["steps"], "step_s": 0.005, "name": request.name}
        behaviour = {"behaviour": "crash"} if process["network"]["linear"] == 17 else {}
        return super().prepare(
            TrainingRequest(
                process_id=request.process_id,
                config={**script, **behaviour},
                dataset=request.dataset,
                training_folder=request.training_folder,
                scratch=request.scratch,
                workspace=request.workspace,
            )
        )


def open_worker(root: Path, **settings: Any) -> Worker:
    worker = Worker.create(
        Settings(workspace_path=root, disk_min_free_bytes=0, lease_s=2, warm_trainer=False, **settings),
        trainers=TrainerRegistry([PresetTrainer()]),
    )
    worker.start()
    return worker


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draw_dataset(tmp_path / "workspace" / "training_data" / "cats", count=2)
    return tmp_path / "workspace"


@pytest.fixture
async def worker(root: Path) -> AsyncIterator[Worker]:
    opened = open_worker(root)
    yield opened
    await asyncio.to_thread(opened.close)


async def ask(worker: Worker, kind: str, **fields: Any) -> dict[str, Any]:
    return await worker.answer({"id": "1", "input": {"type": kind, **fields}}, RunPodJob(job_id="1"))


async def until(
    worker: Worker, process_id: str, reached: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Any]:
    deadline = time.monotonic() + SOON_S
    while True:
        now = await ask(worker, "process_status", process_id=process_id)
        if reached(now):
            return now
        assert time.monotonic() < deadline, now
        await asyncio.sleep(0.05)


def sweep(*variants: dict[str, Any], **fields: Any) -> dict[str, Any]:
    common = {"preset": "sd15", "dataset": {"training_name": "cats"}, "steps": 5, "wait": False}
    return {**common, "variants": list(variants), **fields}


def ended(status: Mapping[str, Any]) -> bool:
    return status["status"] in {"completed", "failed", "cancelled", "interrupted"}


async def test_a_sweep_from_the_request_to_the_end(worker: Worker) -> None:
    begun = await ask(worker, "train", **sweep({"rank": 4}, {"rank": 8, "steps": 7}, name="cat"))
    assert begun["process_id"] == begun["sweep_id"]
    assert begun["sweep_id"].startswith("sweep_")
    assert [one["variant"] for one in begun["processes"]] == [{"rank": 4}, {"rank": 8, "steps": 7}]
    done = await until(worker, begun["sweep_id"], ended)
    assert done["status"] == "completed", done
    assert [(one["status"], one["step"]) for one in done["processes"]] == [("completed", 5), ("completed", 7)]
    assert (done["progress"]["step"], done["progress"]["percent"]) == (2, 100.0)
    assert done["type"] == "sweep"
    assert all(one["ran_s"] > 0 for one in done["processes"])
    ids = [one["process_id"] for one in begun["processes"]]
    assert ids == sorted(ids), "they are queued in order"
    starts = []
    for number, process_id in enumerate(ids, 1):
        one = await ask(worker, "process_status", process_id=process_id)
        assert (one["name"], one["sweep_id"]) == (f"cat-{number:02d}", begun["sweep_id"])
        starts.append(one["started_at"])
    assert starts == sorted(starts)


async def test_a_sweep_is_one_line_in_the_list(worker: Worker) -> None:
    begun = await ask(worker, "train", **sweep({"rank": 4}, {"rank": 8}, wait=True))
    assert begun["status"] == "completed"
    listed = await ask(worker, "processes")
    assert [(one["type"], one["process_id"]) for one in listed["processes"]] == [
        ("sweep", begun["process_id"])
    ]
    members = await ask(worker, "processes", sweep_id=begun["process_id"])
    assert {one["process_id"] for one in members["processes"]} == {
        one["process_id"] for one in begun["processes"]
    }


async def test_one_bad_variant_and_nothing_starts(worker: Worker) -> None:
    request = sweep({"steps": 4}, {"rank": 13}, {"network": {"rank": 8}}, rank=4)
    refused = await ask(worker, "train", **request)
    assert refused["code"] == "invalid_input"
    assert "variants[1]" in refused["error"]
    assert [one["field"] for one in refused["details"]] == ["variants[1].rank", "variants[2].input"]
    assert (await ask(worker, "processes"))["count"] == 0


async def test_every_bad_variant_is_named_and_a_rehearsal_says_the_same(worker: Worker) -> None:
    request = sweep({"rank": 13}, {"rank": 4}, {"rank": 13})
    refused = await ask(worker, "train", **request)
    fields = ["variants[0].rank", "variants[2].rank"]
    assert [one["field"] for one in refused["details"]] == fields
    rehearsed = await ask(worker, "train", **{**request, "dry_run": True})
    assert (rehearsed["accepted"], [one["field"] for one in rehearsed["refused"]]) == (False, fields)
    fine = await ask(worker, "train", **sweep({"rank": 4}, {"rank": 8}, dry_run=True))
    assert fine["accepted"]
    assert (await ask(worker, "processes"))["count"] == 0


async def test_a_failed_training_lets_the_others_run(worker: Worker) -> None:
    done = await ask(worker, "train", **sweep({"rank": 17}, {"rank": 4}, wait=True))
    assert done["status"] == "failed"
    assert [one["status"] for one in done["processes"]] == ["failed", "completed"]
    assert "something broke" in done["processes"][0]["error"]
    assert "1 of 2 trainings failed" in done["failure"]["message"]


async def events_until(root: Path, process_id: str, last: EventType) -> Sequence[Event]:
    """The events of a process, once it has this one: an end is emitted just after it is stored."""
    deadline = time.monotonic() + SOON_S
    while True:
        found = list(Outbox(Workspace.create(root), process_id).history())
        if found and found[-1].event_type is last:
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_a_cancel_of_the_sweep_cancels_all(worker: Worker, root: Path) -> None:
    begun = await ask(worker, "train", **sweep({"rank": 4}, {"rank": 8}, {"rank": 16}, steps=100_000))
    first = begun["processes"][0]["process_id"]
    await until(worker, first, lambda now: now["progress"]["step"] > 3)
    await ask(worker, "cancel", process_id=begun["sweep_id"], grace_s=5)
    done = await until(worker, begun["sweep_id"], ended)
    assert done["status"] == "cancelled"
    assert [one["status"] for one in done["processes"]] == ["cancelled"] * 3
    shown = await ask(worker, "process_status", process_id=first)
    assert shown["checkpoints"], "the one that ran has a checkpoint"
    events = await events_until(root, begun["sweep_id"], EventType.SWEEP_CANCELLED)
    assert events[0].event_type is EventType.SWEEP_STARTED
    assert isinstance(events[-1].data, SweepStoppedData)
    assert (events[-1].data.name, events[-1].data.statuses) == (done["name"], {"cancelled": 3})
    again = await ask(worker, "resume", process_id=begun["sweep_id"], wait=False)
    assert again["process_id"] == begun["sweep_id"]
    resumed = await until(worker, first, lambda now: now["status"] == "running")
    assert resumed["process_id"] == first
    await ask(worker, "cancel", process_id=begun["sweep_id"], save=False, grace_s=5)
    await until(worker, begun["sweep_id"], ended)


async def test_what_was_cancelled_alone_stays_cancelled_when_the_sweep_goes_on(worker: Worker) -> None:
    begun = await ask(worker, "train", **sweep({"rank": 4}, {"rank": 8}, steps=100_000))
    first, second = (one["process_id"] for one in begun["processes"])
    await until(worker, first, lambda now: now["progress"]["step"] > 3)
    await ask(worker, "cancel", process_id=second, save=False, grace_s=5)
    await until(worker, second, ended)
    await ask(worker, "cancel", process_id=begun["sweep_id"], grace_s=5)
    await until(worker, begun["sweep_id"], ended)
    stopped = [await ask(worker, "process_status", process_id=one) for one in (first, second)]
    assert [one.get("reason") for one in stopped] == ["sweep", None]
    await ask(worker, "resume", process_id=begun["sweep_id"], wait=False)
    now = await until(worker, begun["sweep_id"], lambda now: len(now.get("processes", ())) == 2)
    assert now["processes"][1]["status"] == "cancelled"
    await until(worker, first, lambda now: now["status"] == "running")
    assert (await ask(worker, "process_status", process_id=second))["status"] == "cancelled"
    await ask(worker, "cancel", process_id=begun["sweep_id"], save=False, grace_s=5)
    await until(worker, begun["sweep_id"], ended)


async def test_a_cancelled_job_cancels_its_sweep(worker: Worker) -> None:
    event = {
        "id": "1",
        "input": {"type": "train", **sweep({"rank": 4}, {"rank": 8}, steps=100_000, wait=True)},
    }
    first_update: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()

    def show(update: Mapping[str, Any]) -> None:
        if not first_update.done():
            first_update.set_result(update)

    loop = asyncio.get_running_loop()

    def progress(update: Mapping[str, Any]) -> None:
        loop.call_soon_threadsafe(show, update)

    runpod_job = RunPodJob(job_id="1", progress=progress)
    job = asyncio.create_task(worker.answer(event, runpod_job))
    sweep_id = (await first_update)["process_id"]
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    done = await until(worker, sweep_id, ended)
    assert done["status"] == "cancelled"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_worker_that_dies_between_two_submissions_loses_and_repeats_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_worker(root)
    submit, died = RealProcessManager.submit, asyncio.Event()
    loop = asyncio.get_running_loop()

    class Killed(BaseException):
        """In place of SIGKILL."""

    def dying(self: RealProcessManager, type_: str, order: Order, **live: Any) -> Accepted:
        if type_ == "train" and str(order.idempotency_key).endswith("/2"):
            loop.call_soon_threadsafe(died.set)
            raise Killed
        return submit(self, type_, order, **live)

    request = sweep({"rank": 4}, {"rank": 8}, {"rank": 16}, {"rank": 32}, idempotency_key="mine")
    with monkeypatch.context() as patch:
        patch.setattr(RealProcessManager, "submit", dying)
        patch.setattr("lorapod.actions.sweeping.LISTED_S", 0.5)
        begun = await ask(first, "train", **request)
        await died.wait()
    before = await ask(first, "process_status", process_id=begun["sweep_id"])
    assert len(before["processes"]) == 2
    await asyncio.to_thread(first.close)
    second = open_worker(root)
    try:
        # It finds the heartbeat of the first one older than the lease.
        await until(second, begun["sweep_id"], lambda now: now["status"] == "interrupted")
        again = await ask(second, "train", **request)
        assert again["sweep_id"] == begun["sweep_id"]
        done = await until(second, begun["sweep_id"], ended)
        assert done["status"] == "completed", done
        ids = [one["process_id"] for one in done["processes"]]
        assert ids[:2] == [one["process_id"] for one in before["processes"]]
        members = await ask(second, "processes", sweep_id=begun["sweep_id"])
        assert sorted(one["process_id"] for one in members["processes"]) == sorted(ids)
        assert len(set(ids)) == 4
    finally:
        await asyncio.to_thread(second.close)


async def test_variants_go_with_a_preset(worker: Worker) -> None:
    refused = await ask(worker, "train", config="name: cat", variants=[{"rank": 4}])
    assert refused["details"] == [{"field": "variants", "error": "goes with a preset"}]
