"""Trainings and generations of the real trainer and the real embedded engine on the one slot of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_models import ENVIRONMENT, place_tiny

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.testing.pictures import draw_dataset
from lorapod.worker import Worker

DEADLINE_S = 150.0

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(500)]


class Caller:
    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        event = {"id": "job", "input": {"type": type_, **fields}}
        return await asyncio.wait_for(self.worker.answer(event, RunPodJob(job_id="job")), DEADLINE_S)

    async def picture(self, **fields: Any) -> dict[str, Any]:
        asked = {"prompt": "a circle", "model": "tiny", "width": 64, "height": 64, "steps": 2, "seed": 3}
        answer = await self.ask("generate", **{**asked, **fields})
        assert answer.get("status") == "completed", answer
        return answer

    async def resident(self) -> bool:
        engines = (await self.ask("health"))["engines"]
        return bool(next(engine for engine in engines if engine["name"] == "diffusers")["resident"])


@pytest.fixture
async def caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Caller]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        workspace_path=tmp_path / "workspace", scratch_path=tmp_path / "scratch", disk_min_free_bytes=0
    )
    worker = Worker.create(settings)
    place_tiny(worker.services.workspace.models / "tiny")
    draw_dataset(worker.services.workspace.training_data / "shapes", size=(64, 64), count=4)
    worker.start()
    yield Caller(worker)
    await asyncio.to_thread(worker.close)


def training(**changes: Any) -> dict[str, Any]:
    process = {
        "type": "sd_trainer",
        "network": {"type": "lora", "linear": 4, "linear_alpha": 4},
        "datasets": [{"folder_path": "x", "resolution": 64}],
        "train": {"steps": 20, "batch_size": 1, "lr": 1e-2, "disable_sampling": True, "dtype": "fp32"},
        "model": {"name_or_path": "models/tiny", "arch": "sd1"},
    }
    config = {"job": "extension", "config": {"name": "shapes", "process": [process]}}
    return {"config": config, "dataset": {"training_name": "shapes"}, "trainer": "builtin", **changes}


async def test_a_training_has_the_engine_released_and_its_lora_is_used_at_once(caller: Caller) -> None:
    plain = await caller.picture()
    assert await caller.resident()

    started = await caller.ask("train", **training())
    after = asyncio.create_task(caller.picture())
    refused = await caller.ask("generate", prompt="a circle", model="tiny", if_busy="refuse")
    trained = await caller.ask("keep_alive", until_idle=True)

    assert (refused["code"], started["process_id"] in refused["error"]) == ("conflict", True)
    assert trained["processes"] == {}
    record = await caller.ask("process_status", process_id=started["process_id"])
    assert record["status"] == "completed", record
    # It waited for the training, loaded anew, and drew the same.
    assert (await after)["images"][0]["data"] == plain["images"][0]["data"]
    assert (await after)["timings"]["queued_s"] > 0.5
    with_lora = await caller.picture(loras=[{"process_id": started["process_id"], "weight": 1.0}])
    assert with_lora["images"][0]["data"] != plain["images"][0]["data"]
    without = await caller.picture()
    assert without["images"][0]["data"] == plain["images"][0]["data"]
