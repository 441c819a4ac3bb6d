"""The engine with a real AI Toolkit as a real child of a whole worker, on the processor, with a tiny Wan model."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.worker import Worker

ROOT = os.environ.get("AI_TOOLKIT_PATH", "")
PYTHON = os.environ.get("AI_TOOLKIT_PYTHON", "")
DEADLINE_S = 280

pytestmark = [
    pytest.mark.ai_toolkit,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not Path(ROOT, "run.py").is_file() or not Path(PYTHON).is_file(),
        reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout and AI_TOOLKIT_PYTHON to its Python",
    ),
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    settings = Settings(
        workspace_path=folder / "workspace",
        scratch_path=folder / "scratch",
        allow_cpu=True,
        warm_trainer=False,
        hf_hub_offline=True,
        disk_min_free_bytes=0,
    )
    worker = Worker.create(settings)
    script = Path(__file__).with_name("tiny_wan.py")
    model = worker.services.workspace.models / "tiny"
    subprocess.run([PYTHON, str(script), str(model)], check=True, capture_output=True, timeout=DEADLINE_S)
    worker.start()
    yield worker
    worker.close()


def config(**asked: Any) -> dict[str, Any]:
    process = {
        "generate": {"width": 64, "height": 64, "sample_steps": 2, "guidance_scale": 1, **asked},
        "model": {"name_or_path": "models/tiny", "arch": "wan21"},
    }
    return {"job": "generate", "config": {"name": "squares", "process": [process]}}


async def ask(worker: Worker, **fields: Any) -> dict[str, Any]:
    event = {"id": "job", "input": {"type": "generate", **fields}}
    return await asyncio.wait_for(worker.answer(event, RunPodJob(job_id="job")), DEADLINE_S)


async def test_the_same_seed_makes_the_same_pictures(worker: Worker) -> None:
    asked = {"config": config(prompts=["a square", "a circle"]), "seed": 7}
    first, again = [await ask(worker, **asked) for _ in range(2)]

    assert (first.get("status"), first.get("engine")) == ("completed", "ai-toolkit"), first
    assert [picture["seed"] for picture in first["images"]] == [7, 7]
    assert [picture["data"] for picture in first["images"]] == [each["data"] for each in again["images"]]
    with Image.open(io.BytesIO(base64.b64decode(first["images"][0]["data"]))) as image:
        assert image.size == (64, 64)
    log = worker.services.workspace.log_path(first["process_id"]).read_text()
    assert "Done generating images" in log


async def test_a_running_one_is_cancelled(worker: Worker) -> None:
    endless = config(prompts=["a square"], num_repeats=2000)
    job = asyncio.create_task(ask(worker, config=endless, seed=7))
    records = worker.services.processes
    async with asyncio.timeout(DEADLINE_S):
        while True:
            (newest, *_), _ = records.page(status=None, limit=1, before=None)
            if newest.status == "running" and newest.progress.step:
                break
            await asyncio.sleep(0.2)

    event = {"id": "other", "input": {"type": "cancel", "process_id": newest.process_id}}
    await worker.answer(event, RunPodJob(job_id="other"))

    assert "was cancelled" in (await job)["error"]
    assert newest.progress.total_steps == 2000


async def test_an_architecture_that_its_job_fails_for_is_refused(worker: Worker) -> None:
    old = config(prompts=["a square"])
    old["config"]["process"][0]["model"]["arch"] = "sd1"
    answer = await ask(worker, config=old)
    assert (answer["code"], "cannot generate with sd1" in answer["error"]) == ("unsupported", True)
