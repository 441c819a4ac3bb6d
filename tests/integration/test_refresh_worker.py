"""`REFRESH_WORKER`: after each job the platform is asked for a fresh worker, but never while a process runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration import served_worker
from tests.integration.endpoint_caller import Caller, eventually

from lorapod.actions.action import RunPodJob
from lorapod.engines.registry import EngineRegistry
from lorapod.settings import Settings
from lorapod.testing.engine import FakeEngine
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

JOB = RunPodJob(job_id="1")
SERVERLESS = {"runpod_webhook_get_job": "http://127.0.0.1:9/job-take"}


async def test_each_job_has_a_worker_of_its_own(tmp_path: Path) -> None:
    async with (
        served_worker.serve(tmp_path, environment={"REFRESH_WORKER": "true"}, poll_hold_s=0.5) as endpoint,
        Caller(endpoint.url) as caller,
    ):
        worker = served_worker.Worker(endpoint, caller)
        answers = [await worker.ask("ping") for _ in range(2)]

    assert len({answer["worker_id"] for answer in answers}) == 2
    assert not any("refresh_worker" in answer for answer in answers)


def create(root: Path, **settings: Any) -> Worker:
    given: dict[str, Any] = {
        "workspace_path": root / "workspace",
        "scratch_path": root / "scratch",
        "lease_s": 2,
    }
    own = Settings(**{**given, "disk_min_free_bytes": 0, "shutdown_grace_s": 5, **settings})
    trainers, engines = TrainerRegistry([ScriptTrainer()]), EngineRegistry([FakeEngine()])
    return Worker.create(own, trainers=trainers, engines=engines)


@pytest.mark.parametrize(
    "settings",
    [{"refresh_worker": False, **SERVERLESS}, {"refresh_worker": True}],
    ids=["not set", "not on the platform"],
)
async def test_without_it_no_answer_asks(tmp_path: Path, settings: dict[str, Any]) -> None:
    worker = create(tmp_path, **settings)
    try:
        assert "refresh_worker" not in await worker.answer({"input": {"type": "ping"}}, JOB)
    finally:
        worker.close()


async def test_a_training_that_runs_is_not_ended_by_it(tmp_path: Path) -> None:
    worker = create(tmp_path, refresh_worker=True, **SERVERLESS)
    worker.start()
    endless = {"name": "cat", "steps": 100_000, "step_s": 0.01}

    async def ask(**fields: Any) -> dict[str, Any]:
        return await worker.answer({"id": "1", "input": fields}, JOB)

    try:
        begun = await ask(type="train", config=endless, wait=False)
        assert "error" not in begun, begun
        assert "refresh_worker" not in begun
        assert "refresh_worker" not in await ask(type="no such type")

        await ask(type="cancel", process_id=begun["process_id"])

        async def asks() -> bool:
            return (await ask(type="no such type")).get("refresh_worker") is True

        await eventually(asks, "a fresh worker is asked for once the training has ended")
    finally:
        worker.close()
