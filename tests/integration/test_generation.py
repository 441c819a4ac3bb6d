"""Generations on a worker that trains too: the real SDK loop through the local endpoint, an engine that draws squares."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.endpoint_caller import Caller
from tests.integration.served_worker import Worker, holder_pid, serve

from lorapod.client import Client, GeneratedFiles

#: Long enough to be cut short.
LONG: dict[str, Any] = {"prompt": "a square", "steps": 600, "params": {"step_s": 0.05}}
#: About two seconds.
SHORT: dict[str, Any] = {"prompt": "a square", "steps": 20, "params": {"step_s": 0.1}, "seed": 1}


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Worker]:
    async with serve(tmp_path / "workspace") as endpoint, Caller(endpoint.url) as caller:
        yield Worker(endpoint, caller)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Worker]:
    async with serve(tmp_path / "workspace", workers=2) as endpoint, Caller(endpoint.url) as caller:
        yield Worker(endpoint, caller)


async def begun(worker: Worker, **fields: Any) -> tuple[str, str]:
    """A generation that has made its first step: the ids of its job and its process."""
    job_id = await worker.start("generate", **fields)
    process_id = (await worker.first_update(job_id))["process_id"]
    await worker.until_progress(process_id)
    return job_id, process_id


async def test_a_job_tells_how_far_it_is_and_answers_with_pictures(one: Worker) -> None:
    job_id, process_id = await begun(one, **SHORT, num_images=2)

    status = await one.ask("process_status", process_id=process_id)
    assert (status["type"], status["engine"], status["phase"]) == ("generate", "fake", "generating")
    assert status["progress"]["total_images"] == 2
    assert 0 < status["progress"]["percent"] < 100
    listed = await one.ask("processes")
    assert [each["type"] for each in listed["processes"]] == ["generate"]
    answer = await one.caller.until(job_id, "COMPLETED")
    output = answer["output"]
    assert (output["process_id"], output["status"], len(output["images"])) == (process_id, "completed", 2)
    assert output["timings"]["total_s"] >= 3


async def test_the_client_brings_pictures_home(one: Worker, tmp_path: Path) -> None:
    def ask() -> GeneratedFiles:
        with Client(one.endpoint.url) as client:
            return client.generate("a square", to=tmp_path / "pictures", seed=3, num_images=2, image=picture)

    picture = tmp_path / "in.png"
    Image.new("RGB", (8, 8)).save(picture)

    made = await asyncio.to_thread(ask)

    assert [path.name for path in made.files] == ["image_000.png", "image_001.png"]
    for number, path in enumerate(made.files):
        with Image.open(path) as image:
            assert image.getpixel((0, 0)) == (3 + number, 0, 0)
    # What is there already stays.
    again = await asyncio.to_thread(ask)
    assert {path.name for path in again.files} == {f"{again.process_id}-{path.name}" for path in made.files}


async def test_a_training_has_the_resident_engine_released(one: Worker) -> None:
    await one.ask("generate", prompt="a square")
    (engine,) = (await one.ask("health"))["engines"]
    assert (engine["resident"], engine["model"]) == (True, "squares")

    trained = await one.ask("train", config={"steps": 20}, wait=True)

    assert trained["status"] == "completed"
    (engine,) = (await one.ask("health"))["engines"]
    assert engine["resident"] is False
    assert (await one.ask("generate", prompt="a square"))["status"] == "completed"


async def test_a_generation_waits_for_a_training_or_is_refused(one: Worker) -> None:
    training = await one.ask("train", config={"steps": 400}, wait=False)
    await one.until_training(training["process_id"])

    job_id = await one.start("generate", prompt="a square", if_busy="refuse")
    refused = await one.caller.until(job_id, "FAILED")
    waiting = await one.start("generate", prompt="a square")
    process_id = (await one.first_update(waiting))["process_id"]

    assert refused["output"]["code"] == "conflict"
    assert training["process_id"] in refused["error"]
    assert refused["output"]["details"][0]["ahead"] == 1
    assert (await one.ask("process_status", process_id=process_id))["status"] == "queued"
    assert (await one.caller.until(waiting, "COMPLETED"))["output"]["timings"]["queued_s"] > 0.3


async def test_two_generations_follow_each_other(one: Worker) -> None:
    jobs = [await one.start("generate", **SHORT) for _ in range(2)]
    first, second = [(await one.caller.until(job_id, "COMPLETED"))["output"] for job_id in jobs]

    ended = [await one.ask("process_status", process_id=each["process_id"]) for each in (first, second)]
    ended.sort(key=lambda status: str(status["started_at"]))
    assert ended[0]["ended_at"] <= ended[1]["started_at"]
    assert first["images"][0]["data"] == second["images"][0]["data"]


@pytest.mark.parametrize("how", ["the action", "the platform"])
async def test_a_running_generation_is_cancelled(one: Worker, how: str) -> None:
    job_id, process_id = await begun(one, **LONG)

    if how == "the action":
        await one.ask("cancel", process_id=process_id)
        answer = await one.caller.until(job_id, "FAILED")
        assert answer["output"]["code"] == "conflict"
        assert "was cancelled" in answer["error"]
    else:
        await one.caller.call("POST", f"/cancel/{job_id}")
    await one.until_status(process_id, "cancelled")

    # The engine is of use again at once.
    assert (await one.ask("generate", prompt="a square", if_busy="refuse"))["status"] == "completed"
    again = await one.start("resume", process_id=process_id)
    refused = await one.caller.until(again, "FAILED")
    assert refused["output"]["code"] == "unsupported"
    assert "send the request again" in refused["error"]


async def test_sigterm_interrupts_a_generation(one: Worker) -> None:
    job_id, process_id = await begun(one, **LONG)
    status = await one.ask("process_status", process_id=process_id)

    os.kill(holder_pid(one, status), signal.SIGTERM)

    answer = await one.caller.until(job_id, "FAILED")
    assert "was interrupted" in answer["error"]
    assert answer["output"]["details"] == [{"process_id": process_id, "status": "interrupted"}]


async def test_a_job_that_the_platform_hands_out_again_is_generated_again(two: Worker) -> None:
    job_id, process_id = await begun(two, **{**SHORT, "steps": 40})
    status = await two.ask("process_status", process_id=process_id)

    os.kill(holder_pid(two, status), signal.SIGKILL)

    answer = await two.caller.until(job_id, "COMPLETED")
    assert (answer["output"]["process_id"], answer["output"]["status"]) == (process_id, "completed")
    assert answer["output"]["images"][0]["data"]
    assert answer["workerId"] != status["worker_id"]
    assert (await two.ask("processes"))["count"] == 1


async def test_another_worker_cancels_and_shows_a_generation(two: Worker) -> None:
    job_id, process_id = await begun(two, **LONG)
    answers = [await two.ask("process_status", process_id=process_id) for _ in range(4)]
    assert {answer["status"] for answer in answers} == {"running"}

    await two.ask("cancel", process_id=process_id)

    assert "was cancelled" in (await two.caller.until(job_id, "FAILED"))["error"]


async def test_a_generation_of_a_worker_that_was_killed_is_interrupted(two: Worker) -> None:
    started = await two.ask("generate", **LONG, wait=False)
    process_id = started["process_id"]
    await two.until_progress(process_id)
    status = await two.ask("process_status", process_id=process_id)

    os.kill(holder_pid(two, status), signal.SIGKILL)

    assert (await two.until_status(process_id, "interrupted"))["worker_id"] == status["worker_id"]
