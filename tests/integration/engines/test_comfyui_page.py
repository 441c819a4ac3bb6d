"""The examples of the page on ComfyUI, each run by a whole worker."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.engines.test_comfyui_worker import settings
from tests.servers.comfyui import ComfyUIStandIn

from lorapod.actions.action import RunPodJob
from lorapod.worker import Worker

PAGE = Path(__file__).parents[3] / "docs/howto/comfyui.md"
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)]
EVENTS = [block for block in BLOCKS if "input" in block]
[TEMPLATE] = [block for block in BLOCKS if "input" not in block]


@pytest.fixture
async def worker(tmp_path: Path, stand_in: ComfyUIStandIn) -> AsyncIterator[Worker]:
    workflows = tmp_path / "workspace/workflows"
    workflows.mkdir(parents=True)
    (workflows / "postcard.json").write_text(json.dumps(TEMPLATE))
    worker = Worker.create(settings(tmp_path / "workspace", stand_in.url, comfyui_path=stand_in.root))
    worker.start()
    yield worker
    await asyncio.to_thread(worker.close)


@pytest.mark.parametrize("event", EVENTS)
async def test_each_example_makes_what_the_page_says(worker: Worker, event: Any) -> None:
    answer = await worker.answer({"id": "job-1", **event}, RunPodJob(job_id="job-1"))

    made = answer.get("output", answer)
    assert "error" not in answer
    assert made.get("warnings", []) == []
    assert [*made["images"], *made["videos"]]


async def test_the_postcard_says_hello(worker: Worker) -> None:
    [event] = [event for event in EVENTS if event["input"].get("comfyui_workflow_name") == "postcard"]

    answer = await worker.answer({"id": "job-1", **event}, RunPodJob(job_id="job-1"))

    [text] = answer["other"]
    assert (worker.services.workspace.root / text["path"]).read_text("utf-8") == "Hello, from the sea!"
    assert (answer["images"][0]["width"], answer["images"][0]["height"]) == (64, 32)


def test_the_page_has_its_examples() -> None:
    assert len(EVENTS) == 5
