"""What RunPod does to a worker, and what becomes of its trainings: the real SDK loop through the local endpoint."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.endpoint_caller import Caller, eventually
from tests.integration.served_worker import LEASE_S, Worker, holder_pid, serve

from lorapod.endpoint import EndpointLimits


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Worker]:
    async with serve(tmp_path / "workspace") as endpoint, Caller(endpoint.url) as caller:
        yield Worker(endpoint, caller)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Worker]:
    async with serve(tmp_path / "workspace", workers=2) as endpoint, Caller(endpoint.url) as caller:
        yield Worker(endpoint, caller)


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended; it may be reaped between two questions about it."""
    try:
        return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


LONG = {"config": {"steps": 5000, "save_every": 20}}


async def test_an_attached_training_reports_at_once_and_answers_whole(one: Worker) -> None:
    job_id = await one.start("train", config={"steps": 150, "save_every": 50})
    update = await one.first_update(job_id)
    assert update["process_id"].startswith("train_")
    assert update["sequence"] >= 1
    # Another job on the same worker is answered meanwhile.
    assert (await one.ask("ping"))["pong"] is True
    answer = await one.caller.until(job_id, "COMPLETED")
    output = answer["output"]
    assert (output["status"], output["progress"]["percent"]) == ("completed", 100.0)
    assert [checkpoint["step"] for checkpoint in output["checkpoints"]] == [50, 100, 150, 150]
    assert output["worker_id"] == answer["workerId"]


async def test_whoever_looks_at_the_job_sees_the_newest_checkpoint(one: Worker, tmp_path: Path) -> None:
    job_id = await one.start("train", job_id="12345", **LONG)

    async def last_event() -> Any:
        event = ((await one.caller.status(job_id)).get("output") or {}).get("last_event")
        return event if event is not None and event["event_type"] == "training.checkpoint" else None

    event = await eventually(last_event, "an update with a checkpoint")
    assert event["job_id"] == "12345"
    assert (tmp_path / "workspace" / event["data"]["path"]).stat().st_size == event["data"]["size_bytes"]
    update = (await one.caller.status(job_id))["output"]
    assert update["process_id"] == event["process_id"]
    assert update["progress"]["step"] >= event["data"]["checkpoint_step"]
    await one.caller.call("POST", f"/cancel/{job_id}")
    await one.until_status(event["process_id"], "cancelled")


async def test_cancelling_the_job_stops_the_training_with_a_checkpoint(one: Worker) -> None:
    job_id = await one.start("train", **LONG)
    process_id = (await one.first_update(job_id))["process_id"]
    await one.until_training(process_id)
    await one.caller.call("POST", f"/cancel/{job_id}")
    end = await one.until_status(process_id, "cancelled")
    assert end["exit_code"] == 0
    assert end["resumable"] is True
    assert end["progress"]["step"] - end["checkpoints"][-1]["step"] < 50


async def test_the_execution_timeout_stops_the_training(tmp_path: Path) -> None:
    limits = EndpointLimits(execution_timeout_s=4)
    async with serve(tmp_path / "workspace", limits=limits) as endpoint, Caller(endpoint.url) as caller:
        worker = Worker(endpoint, caller)
        job_id = await worker.start("train", **LONG)
        process_id = (await worker.first_update(job_id))["process_id"]
        await caller.until(job_id, "TIMED_OUT")
        assert (await worker.until_status(process_id, "cancelled"))["resumable"] is True


async def test_a_detached_training_says_what_will_happen_and_keep_alive_holds_the_worker(
    tmp_path: Path,
) -> None:
    workspace = tmp_path / "workspace"
    async with serve(workspace, idle_timeout_s=1.0) as endpoint, Caller(endpoint.url) as caller:
        worker = Worker(endpoint, caller)
        started = await worker.ask("train", config={"steps": 300}, wait=False)
        assert "keep_alive" in started["warnings"][0]
        held = await worker.ask("keep_alive", until_idle=True)
        assert held["kept_alive_s"] > 1
        assert held["processes"] == {}
        status = await worker.ask("process_status", process_id=started["process_id"])
        assert status["status"] == "completed"


async def test_an_idle_worker_that_is_stopped_leaves_its_training_interrupted_and_resumable(
    tmp_path: Path,
) -> None:
    workspace = tmp_path / "workspace"
    async with serve(workspace, idle_timeout_s=3.0) as endpoint, Caller(endpoint.url) as caller:
        worker = Worker(endpoint, caller)
        started = await worker.ask("train", wait=False, **LONG)
        await eventually(lambda: all(each.pid is None for each in endpoint.workers), "the worker is stopped")
        end = await worker.until_status(started["process_id"], "interrupted")
        assert end["resumable"] is True
        assert end["checkpoints"]
        resumed = await worker.start("resume", process_id=started["process_id"])
        update = await worker.first_update(resumed)
        assert update["progress"]["step"] >= end["checkpoints"][-1]["step"]
        await caller.call("POST", f"/cancel/{resumed}")
        await worker.until_status(started["process_id"], "cancelled")


async def test_sigterm_ends_the_training_with_a_checkpoint_and_the_job_with_its_status(one: Worker) -> None:
    job_id = await one.start("train", **LONG)
    process_id = (await one.first_update(job_id))["process_id"]
    status = await one.until_training(process_id)
    os.kill(holder_pid(one, status), signal.SIGTERM)
    answer = await one.caller.until(job_id, "COMPLETED")
    assert answer["output"]["status"] == "interrupted"
    assert answer["output"]["resumable"] is True


async def test_any_worker_answers_and_cancels(two: Worker) -> None:
    job_id = await two.start("train", **LONG)
    process_id = (await two.first_update(job_id))["process_id"]
    await two.until_training(process_id)
    answers = [await two.ask("process_status", process_id=process_id) for _ in range(6)]
    assert {answer["worker_id"] for answer in answers} == {answers[0]["worker_id"]}
    await two.ask("save_now", process_id=process_id)
    await two.ask("cancel", process_id=process_id)
    assert (await two.caller.until(job_id, "COMPLETED"))["output"]["status"] == "cancelled"


async def test_a_killed_workers_training_is_interrupted_and_another_takes_it_up(two: Worker) -> None:
    started = await two.ask("train", wait=False, **LONG)
    process_id = started["process_id"]
    status = await two.until_training(process_id)
    children = psutil.Process(holder_pid(two, status)).children(recursive=True)
    began = time.monotonic()
    os.kill(holder_pid(two, status), signal.SIGKILL)
    end = await two.until_status(process_id, "interrupted")
    assert time.monotonic() - began < LEASE_S + 1
    assert all(is_gone(child) for child in children)
    resumed = await two.ask("resume", process_id=process_id, wait=False)
    assert resumed["status"] == "queued"
    now = await two.until_training(process_id)
    assert now["worker_id"] != end["worker_id"]
    await two.ask("cancel", process_id=process_id, save=False)


@pytest.mark.parametrize("kind", ["train", "resume"])
async def test_a_job_that_the_platform_hands_out_again_goes_on_where_it_was(two: Worker, kind: str) -> None:
    job_id = await two.start("train", wait=True, config={"steps": 300, "save_every": 20})
    process_id = (await two.first_update(job_id))["process_id"]
    status = await two.until_training(process_id)
    if kind == "resume":
        await two.caller.call("POST", f"/cancel/{job_id}")
        await two.until_status(process_id, "cancelled")
        job_id = await two.start("resume", process_id=process_id, wait=True)
        status = await two.until_status(process_id, "running")
    os.kill(holder_pid(two, status), signal.SIGKILL)
    answer = await two.caller.until(job_id, "COMPLETED")
    assert (answer["output"]["process_id"], answer["output"]["status"]) == (process_id, "completed")
    assert answer["output"]["worker_id"] != status["worker_id"]
    assert (await two.ask("processes"))["count"] == 1


async def test_sixteen_questions_at_once_are_answered_while_it_trains(one: Worker) -> None:
    started = await one.ask("train", wait=False, **LONG)
    answers = await asyncio.gather(
        *(one.ask("process_status", process_id=started["process_id"], log_tail=5) for _ in range(16))
    )
    assert {answer["process_id"] for answer in answers} == {started["process_id"]}
    await one.ask("cancel", process_id=started["process_id"], save=False)
