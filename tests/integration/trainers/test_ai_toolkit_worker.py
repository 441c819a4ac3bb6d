"""The whole worker with a real AI Toolkit: cancel with a checkpoint, resume, a death in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tests.tiny_models import place_tiny

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.weights import read_header, step_of
from lorapod.worker import Worker

ROOT = os.environ.get("AI_TOOLKIT_PATH", "")
DEADLINE_S = 120

pytestmark = [
    pytest.mark.ai_toolkit,
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not Path(ROOT, "run.py").is_file(), reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout"
    ),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    place_tiny(root / "models" / "tiny")
    dataset = root / "training_data/circles"
    dataset.mkdir(parents=True)
    for number in range(6):
        picture = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(picture).ellipse((8 + number, 8, 48 + number, 48), fill=(200, 30 * number, 20))
        picture.save(dataset / f"{number}.png")
        (dataset / f"{number}.txt").write_text("a circle")
    return root


@pytest.fixture
async def worker(root: Path) -> AsyncIterator[Worker]:
    settings = Settings(
        workspace_path=root, allow_cpu=True, disk_min_free_bytes=0, lease_s=6, cancel_grace_s=60
    )
    worker = Worker.create(settings)
    worker.start()
    yield worker
    await asyncio.to_thread(worker.close)


def config(steps: int, save_every: int = 1000) -> dict[str, Any]:
    process = {
        "type": "sd_trainer",
        "network": {"type": "lora", "linear": 4, "linear_alpha": 4},
        "save": {"dtype": "float32", "save_every": save_every, "max_step_saves_to_keep": 4},
        "datasets": [{"folder_path": "anywhere", "resolution": 64, "num_workers": 0}],
        "train": {
            "batch_size": 1,
            "steps": steps,
            "lr": 1e-4,
            "gradient_checkpointing": False,
            "noise_scheduler": "ddpm",
            "optimizer": "adamw",
            "dtype": "fp32",
            "disable_sampling": True,
        },
        "model": {"name_or_path": "models/tiny", "arch": "sd1"},
        "sample": {"sampler": "ddpm", "width": 64, "height": 64, "prompts": ["a circle"]},
    }
    return {"job": "extension", "config": {"name": "circles", "process": [process]}}


async def ask(worker: Worker, kind: str, **fields: Any) -> dict[str, Any]:
    answer = await worker.answer({"id": "1", "input": {"type": kind, **fields}}, RunPodJob(job_id="1"))
    assert "error" not in answer, answer
    return answer


async def until(worker: Worker, process_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        status = await ask(worker, "process_status", process_id=process_id, log_tail=20)
        if reached(status):
            return status
        assert status["status"] not in {"completed", "failed"}, status
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.1)


async def train(worker: Worker, **changes: Any) -> str:
    started = await ask(
        worker,
        "train",
        config=config(**changes),
        dataset={"training_name": "circles"},
        trainer="ai-toolkit",
        wait=False,
    )
    return str(started["process_id"])


def logged_steps(worker: Worker, process_id: str, folder: Path) -> list[int]:
    del worker, process_id
    from lorapod.volume.loss_log import read_series

    return [step for step, _ in read_series(folder / "loss_log.db")["loss/loss"]]


async def test_cancel_leaves_a_checkpoint_of_its_step_and_resume_goes_on_from_it(
    worker: Worker, root: Path
) -> None:
    process_id = await train(worker, steps=100_000)
    await until(worker, process_id, lambda now: now["progress"]["step"] >= 5)
    await ask(worker, "cancel", process_id=process_id, save=True)
    end = await until(worker, process_id, lambda now: now["status"] == "cancelled")
    (saved,) = end["checkpoints"]
    assert end["resumable"] is True
    # It trains on while the save is waited for; the checkpoint is of the step at which it was asked.
    assert 5 <= saved["step"] <= end["progress"]["step"] + 1
    assert step_of(read_header(root / saved["path"])) == saved["step"]
    again = await ask(worker, "resume", process_id=process_id, wait=False)
    assert again["status"] == "queued"
    now = await until(worker, process_id, lambda now: now["progress"]["step"] >= saved["step"] + 3)
    assert now["resumed_from_step"] == saved["step"]
    await ask(worker, "cancel", process_id=process_id, save=False)
    await until(worker, process_id, lambda now: now["status"] == "cancelled")


async def test_a_death_in_the_middle_and_a_resume_to_the_end(worker: Worker, root: Path) -> None:
    process_id = await train(worker, steps=60, save_every=10)
    await until(worker, process_id, lambda now: now["progress"]["step"] >= 15)
    pid = worker.services.processes.get(process_id).pid
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    end = await until(worker, process_id, lambda now: now["status"] == "failed")
    assert end["signal"] == "SIGKILL"
    newest = max(checkpoint["step"] for checkpoint in end["checkpoints"])
    await ask(worker, "resume", process_id=process_id, wait=False)
    done = await until(worker, process_id, lambda now: now["status"] in {"completed", "failed"})
    assert done["status"] == "completed", done
    assert done["progress"] == {**done["progress"], "step": 60, "total_steps": 60, "percent": 100.0}
    assert done["resumed_from_step"] == newest
    final = root / f"output/{process_id}/circles/circles.safetensors"
    assert step_of(read_header(final)) == 60
    steps = logged_steps(worker, process_id, final.parent)
    assert steps == sorted(set(steps))
    assert steps[-1] == 59


async def test_a_completed_training_goes_on_for_more_steps(worker: Worker, root: Path) -> None:
    process_id = await train(worker, steps=6)
    done = await until(worker, process_id, lambda now: now["status"] == "completed")
    assert [saved["step"] for saved in done["checkpoints"]] == [6]
    # What is kept is enough to go on, the optimizer's state included.
    assert (await ask(worker, "delete", process_id=process_id, keep="final"))["warnings"] == []
    await ask(worker, "resume", process_id=process_id, steps=10, wait=False)
    longer = await until(worker, process_id, lambda now: now["status"] == "completed")
    assert (longer["resumed_from_step"], longer["progress"]["step"]) == (6, 10)
    folder = root / f"output/{process_id}/circles"
    assert step_of(read_header(folder / "circles_000000006.safetensors")) == 6
    assert step_of(read_header(folder / "circles.safetensors")) == 10
    log = (root / f"logs/{process_id}.log").read_text()
    assert f"Loading optimizer state from {folder}/optimizer.pt" in log
    assert "Failed to load optimizer state" not in log
    steps = logged_steps(worker, process_id, folder)
    assert (steps[-1], steps) == (9, sorted(set(steps)))


async def test_a_training_begins_with_an_earlier_lora_and_names_it(worker: Worker, root: Path) -> None:
    parent = await train(worker, steps=4)
    await until(worker, parent, lambda now: now["status"] == "completed")
    fields = {"dataset": {"training_name": "circles"}, "trainer": "ai-toolkit"}
    start = {"process_id": parent, "step": 4}
    wider = config(3)
    wider["config"]["process"][0]["network"] |= {"linear": 8}
    refused = await ask(worker, "train", config=wider, start_from=start, dry_run=True, **fields)
    assert [problem["error"] for problem in refused["refused"]] == [
        "its rank is 4, and the config asks for 8"
    ]
    begun = await ask(worker, "train", config=config(3), start_from=start, wait=False, **fields)
    child = begun["process_id"]
    done = await until(worker, child, lambda now: now["status"] == "completed")
    assert done["start_from"] == {**start, "path": f"output/{parent}/circles/circles.safetensors"}
    log = (root / f"logs/{child}.log").read_text()
    assert "Using pretrained lora path from config:" in log
    assert "Missing keys: []" in log
    header = read_header(root / f"output/{child}/circles/circles.safetensors")
    assert step_of(header) == 3
    assert json.loads(header.metadata["start_from"]) == {**start, "file": "circles.safetensors"}
