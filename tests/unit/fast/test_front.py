from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from lorapod.errors import InternalError, UpstreamError
from lorapod.fast import entry
from lorapod.fast.building.environments import EnvironmentSpec, EnvironmentStore
from lorapod.fast.building.steps import BuildStage, BuildStep
from lorapod.fast.front import Front, Update
from lorapod.fast.real_worker import RealWorker
from lorapod.fast.settings import FastSettings
from lorapod.fast.worker_runner import RETRY_AFTER_S, Readiness, RunnerState, WorkerRunner
from lorapod.safety.redaction import Redactor

PASSWORD = "planted-in-an-index-address"


class FakeRealWorker:
    """Answers every job with what it was asked."""

    async def answer(self, event: Any, update: Update) -> dict[str, Any]:
        update({"sequence": 1, "process_id": "train_0123456789ab"})
        if event["input"].get("type") == "health":
            return {"status": "ok", "checks": []}
        return {"asked": event}


class FakeRunner(WorkerRunner):
    """Goes through the states that a test tells it to."""

    def __init__(self, settings: FastSettings, store: EnvironmentStore) -> None:
        super().__init__(settings, store)
        self.begun: list[bool] = []

    def begin(self, *, again: bool = False) -> None:
        self.begun.append(again)
        if self.state.status in {Readiness.WAITING, Readiness.FAILED}:
            self.show(Readiness.PREPARING)

    async def rebuild(self) -> None:
        self.begun.append(True)

    def show(self, status: Readiness, **changes: Any) -> None:
        self._set(RunnerState(status=status, **{"since_s": time.monotonic(), **changes}))
        self._real_worker = cast("RealWorker", FakeRealWorker()) if status is Readiness.READY else None


class Bench:
    def __init__(self, folder: Path) -> None:
        self.settings = FastSettings.from_environment(
            {"WORKSPACE_PATH": str(folder), "RUNPOD_POD_ID": "pod-1", "PROGRESS_INTERVAL_S": "60"}
        )
        (folder / "lock.txt").write_text("a==1\n")
        spec = EnvironmentSpec(lock=folder / "lock.txt", backend=folder, environments=folder / "envs")
        self.runner = FakeRunner(self.settings, EnvironmentStore(spec))
        self.front = Front(self.settings, self.runner, Redactor(self.settings.secrets))
        self.updates: list[Mapping[str, Any]] = []

    async def ask(self, **fields: Any) -> dict[str, Any]:
        return await self.front.answer({"id": "job-1", "input": fields}, self.updates.append)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_what_needs_no_worker_is_answered_in_every_state(bench: Bench) -> None:
    for status in Readiness:
        failure = InternalError() if status is Readiness.FAILED else None
        bench.runner.show(status, failure=failure)
        assert await bench.ask(type="ping") == {"pong": True, "worker_id": "pod-1"}
        assert await bench.ask(action="echo", a=[1]) == {"echo": {"a": [1]}, "worker_id": "pod-1"}
        health = await bench.ask(type="health")
        assert health["environment"]["status"] == status


@pytest.mark.parametrize("event", [None, [], {}, {"input": None}, {"input": {}}, {"input": {"type": 3}}])
async def test_an_event_of_another_form_is_an_answer_too(bench: Bench, event: Any) -> None:
    assert (await bench.front.answer(event, bench.updates.append))["code"] == "invalid_input"


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "ping", "x": 1},
        {"type": "health", "x": 1},
        {"type": "setup_environment", "foerce": True},
        {"type": "setup_environment", "force": "yes"},
        {"type": "train", "if_preparing": "perhaps"},
    ],
)
async def test_what_is_refused(bench: Bench, fields: dict[str, Any]) -> None:
    assert (await bench.ask(**fields))["code"] == "invalid_input"


async def test_a_job_is_handed_on_as_it_came_but_for_what_is_the_entry_s(bench: Bench) -> None:
    bench.runner.show(Readiness.READY)
    answer = await bench.ask(type="train", steps=5, if_preparing="refuse")
    assert answer["asked"] == {"id": "job-1", "input": {"type": "train", "steps": 5}}


async def test_an_input_that_is_json_text_is_handed_on_as_its_object(bench: Bench) -> None:
    bench.runner.show(Readiness.READY)

    answer = await bench.front.answer({"id": "1", "input": '{"prompt": "a cat"}'}, bench.updates.append)

    assert answer["asked"]["input"] == {"prompt": "a cat"}


async def test_a_job_without_a_type_is_the_worker_s_to_understand(bench: Bench) -> None:
    bench.runner.show(Readiness.READY)
    assert (await bench.ask(prompt="a cat"))["asked"]["input"] == {"prompt": "a cat"}


async def test_a_job_waits_and_hears_of_every_step(bench: Bench) -> None:
    job = asyncio.create_task(bench.ask(type="train"))
    await asyncio.sleep(0)
    bench.runner.show(
        Readiness.PREPARING, stage=BuildStage(step=BuildStep.FETCHING, part=0.5, detail="torch")
    )
    await _turns()
    bench.runner.show(Readiness.STARTING)
    await _turns()
    assert (await bench.ask(type="health"))["processes"] == {"queued": 1, "running": 0}
    bench.runner.show(Readiness.READY)
    assert (await job)["asked"]["input"] == {"type": "train"}
    steps = [
        (update["environment"]["status"], update["environment"].get("step"))
        for update in bench.updates
        if "environment" in update
    ]
    assert steps == [("preparing", "waiting"), ("preparing", "fetching"), ("starting", None)]
    # The worker's own updates go on counting where the entry's end.
    assert [update["sequence"] for update in bench.updates] == [1, 2, 3, 4]


async def test_how_long_is_told_to_whoever_does_not_wait(bench: Bench) -> None:
    half = BuildStage(step=BuildStep.INSTALLING, detail="96 packages")
    bench.runner.show(Readiness.PREPARING, stage=half, since_s=time.monotonic() - 35)
    refused = await bench.ask(type="train", if_preparing="refuse")
    assert refused["code"] == "conflict"
    (detail,) = refused["details"]
    assert detail["percent"] == 35.0
    assert detail["remaining_s"] == pytest.approx(65, abs=2)
    assert "in about 65 s" in refused["hint"]
    bench.runner.known_s = 300.0
    (detail,) = (await bench.ask(type="train", if_preparing="refuse"))["details"]
    assert detail["remaining_s"] == pytest.approx(265, abs=2)


async def test_a_failure_is_told_without_secrets_and_tried_again_after_a_while(bench: Bench) -> None:
    failure = UpstreamError(f"pip could not install: https://me:{PASSWORD}@index/simple", hint="Look.")
    bench.runner.show(Readiness.FAILED, failure=failure)
    for fields in ({"type": "train"}, {"type": "health"}):
        answer = await bench.ask(**fields)
        assert PASSWORD not in str(answer)
    assert (await bench.ask(type="train"))["code"] == "upstream_error"
    assert bench.runner.begun == []
    bench.runner.show(Readiness.FAILED, failure=failure, since_s=time.monotonic() - RETRY_AFTER_S)
    refused = await bench.ask(type="train", if_preparing="refuse")
    assert (refused["code"], bench.runner.begun) == ("conflict", [False])


async def test_what_a_job_brings_is_masked_in_all_that_is_said_of_it(bench: Bench) -> None:
    token, key, bucket = (f"planted-with-a-job-{number}" for number in range(3))
    failure = UpstreamError(f"They say {token}, {key} and {bucket}.")
    event: dict[str, Any] = {
        "id": "job-1",
        "input": {"type": "train", "callback_token": token, "payload": {"comfy_org_api_key": key}},
        "s3Config": {"accessSecret": bucket},
    }
    job = asyncio.create_task(bench.front.answer(event, bench.updates.append))
    await _turns()
    bench.runner.show(Readiness.PREPARING, stage=BuildStage(step=BuildStep.FETCHING, part=0.5, detail=token))
    await _turns()
    bench.runner.show(Readiness.FAILED, failure=failure)
    answer = await job
    assert answer["error"] == "They say ***, *** and ***."
    assert any("***" in update["environment"]["detail"] for update in bench.updates)
    assert "planted" not in str(bench.updates)
    echo = await bench.front.answer(
        {**event, "input": {**event["input"], "type": "echo"}}, bench.updates.append
    )
    assert echo["echo"] == {"callback_token": "***", "payload": {"comfy_org_api_key": "***"}}
    # Whoever sends another job is not told what this one's secrets were.
    assert (await bench.ask(type="echo", a=token))["echo"] == {"a": token}


async def test_setup_environment_begins_and_waits(bench: Bench) -> None:
    answer = await bench.ask(type="setup_environment", wait=False)
    assert answer["environment"]["status"] == "preparing"
    job = asyncio.create_task(bench.ask(type="setup_environment", force=True))
    await _turns()
    assert not job.done()
    bench.runner.show(Readiness.READY)
    assert (await job)["environment"]["status"] == "ready"
    assert bench.runner.begun[:2] == [False, True]


async def test_a_cancelled_job_stops_waiting(bench: Bench) -> None:
    job = asyncio.create_task(bench.ask(type="train"))
    await _turns()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert (await bench.ask(type="health"))["processes"]["queued"] == 0


async def test_a_worker_that_is_stopped_answers_whoever_waits(bench: Bench) -> None:
    job = asyncio.create_task(bench.ask(type="train"))
    await _turns()
    bench.runner.close()
    assert "being stopped" in (await job)["error"]


async def test_an_environment_on_no_volume_is_told(bench: Bench, tmp_path: Path) -> None:
    settings = dataclasses.replace(bench.settings, shared=False)
    front = Front(settings, bench.runner, Redactor())
    health = await front.answer({"input": {"type": "health"}}, bench.updates.append)
    assert "every new worker" in health["environment"]["warning"]


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.expects_errors("a progress update could not be sent")
async def test_an_update_that_fails_costs_no_job(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def failing(_update: Mapping[str, Any]) -> None:
        raise OSError("the platform does not listen")

    job = asyncio.create_task(bench.front.answer({"id": "job-1", "input": {"type": "train"}}, failing))
    await _turns()
    bench.runner.show(Readiness.READY)
    assert (await job)["asked"]["input"] == {"type": "train"}
    assert "progress update" in caplog.text


async def test_a_preparation_that_has_failed_at_once_is_not_begun_again_by_the_clock(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "BEGIN_AFTER_S", 0.0)
    bench.runner.show(Readiness.FAILED, failure=InternalError())
    await entry.FastEntry._begin_later(bench.runner)
    assert bench.runner.begun == []
    bench.runner.show(Readiness.WAITING)
    await entry.FastEntry._begin_later(bench.runner)
    assert bench.runner.begun == [False]
