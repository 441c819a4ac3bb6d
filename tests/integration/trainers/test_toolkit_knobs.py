"""Knobs of `train` with a real AI Toolkit, in a whole worker, on the processor, with a tiny SD 1.x model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.tiny_models import place_tiny

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.worker import Worker

ROOT = os.environ.get("AI_TOOLKIT_PATH", "")
PYTHON = os.environ.get("AI_TOOLKIT_PYTHON", "")

pytestmark = [
    pytest.mark.ai_toolkit,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not Path(ROOT, "run.py").is_file() or not Path(PYTHON).is_file(),
        reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout and AI_TOOLKIT_PYTHON to its Python",
    ),
]

IMAGES = 6


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    worker = Worker.create(
        Settings(
            workspace_path=folder / "workspace",
            scratch_path=folder / "scratch",
            allow_cpu=True,
            warm_trainer=False,
            hf_hub_offline=True,
            disk_min_free_bytes=0,
        )
    )
    workspace = worker.services.workspace
    place_tiny(workspace.models / "tiny")
    cats = workspace.training_data / "cats"
    cats.mkdir(parents=True)
    for number in range(IMAGES):
        Image.new("RGB", (64, 64), (number * 40, 100, 0)).save(cats / f"{number}.png")
        (cats / f"{number}.txt").write_text(f"a cat, {number}")
    worker.start()
    yield worker
    worker.close()


def ask(worker: Worker, **fields: Any) -> dict[str, Any]:
    return asyncio.run(worker.answer({"id": "job-1", "input": fields}, RunPodJob(job_id="job-1")))


def trained(worker: Worker, name: str, *, status: str = "completed", **knobs: Any) -> dict[str, Any]:
    ended = ask(
        worker,
        type="train",
        trainer="ai-toolkit",
        preset="sd15",
        name=name,
        model="models/tiny",
        dataset={"training_name": "cats"},
        **{"steps": 5, "resolution": 64, "sample_prompts": [], "wait": True, "trigger_word": "ohwx", **knobs},
    )
    assert ended.get("status") == status, ended
    return ended


def test_images_are_held_back_and_their_loss_is_a_metric(worker: Worker) -> None:
    ended = trained(worker, "held", validation={"share": 0.34, "every": 2})

    found = ask(worker, type="metrics", process_id=ended["process_id"], keys=["val/loss"])
    assert [step for step, _ in found["series"]["val/loss"]][-1] >= 4
    log = ask(worker, type="logs", process_id=ended["process_id"])["text"]
    assert "Found 4 images" in log
    cats = worker.services.workspace.training_data / "cats"
    assert len(list(cats.rglob("*"))) == 2 * IMAGES


def test_a_training_that_gets_no_better_ends_with_a_checkpoint_and_can_go_on(worker: Worker) -> None:
    ended = trained(
        worker,
        "no_better",
        status="cancelled",
        steps=100_000,
        validation={"share": 0.34, "every": 5},
        # No look is by half better than the best.
        stop_when={"patience": 2, "min_improvement": 0.5},
    )
    assert ended["reason"] == "no_improvement"
    assert ended["resumable"]
    # The looks go on until the checkpoint is written.
    assert ended["best_step"] + 10 <= ended["checkpoints"][-1]["step"] <= ended["progress"]["step"] + 1
    curve = ask(worker, type="metrics", process_id=ended["process_id"], keys=["val/loss"])["series"][
        "val/loss"
    ]
    losses = dict(map(tuple, curve))
    assert min(losses.values()) > 0.5 * losses[ended["best_step"]]

    again = ask(worker, type="resume", process_id=ended["process_id"], wait=True)
    assert (again["status"], again["reason"]) == ("cancelled", "no_improvement"), again
    assert again["resumed_from_step"] == ended["checkpoints"][-1]["step"]
    assert again["checkpoints"][-1]["step"] > ended["checkpoints"][-1]["step"]


def test_a_limit_ends_a_training_with_a_checkpoint(worker: Worker) -> None:
    # It loads the model for a part of the time, and writes the checkpoint after it.
    limits = {"duration_s": 60}
    ended = trained(worker, "limited", status="cancelled", steps=100_000, limits=limits)
    assert (ended["reason"], ended["resumable"]) == ("limit", True)
    assert 0 < ended["checkpoints"][-1]["step"] <= ended["progress"]["step"] + 1
    assert ended["ran_s"] >= 60


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("lokr", {"network": {"type": "lokr"}, "scheduler": "linear"}),
        ("small", {"network": {"type": "lokr", "rank": 2}, "scheduler": "constant_with_warmup"}),
        ("ema", {"ema": 0.9, "scheduler": "cosine", "gradient_accumulation": 2, "optimizer": "adafactor"}),
    ],
)
def test_knobs_train(worker: Worker, name: str, knobs: dict[str, Any]) -> None:
    assert trained(worker, name, **knobs)["progress"]["step"] == 5
