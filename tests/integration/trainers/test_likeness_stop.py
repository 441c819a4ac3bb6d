"""An early stop by likeness with the real trainer and a real embedding model beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_embeddings import make_dino
from tests.tiny_models import place_tiny

from lorapod.actions.action import RunPodJob
from lorapod.client.drawing.creature import draw_creatures
from lorapod.processes import run
from lorapod.settings import Settings
from lorapod.trainers import early_stop
from lorapod.worker import Worker

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.torch, pytest.mark.timeout(240)]


@pytest.fixture
async def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    monkeypatch.setattr(run, "TICK_S", 0.1)
    monkeypatch.setattr(early_stop, "LOOK_S", 0.1)
    # Tensors this small are slower on two threads than on one.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    root = tmp_path / "workspace"
    place_tiny(root / "models" / "tiny")
    make_dino(root / "models" / "embedding" / "dino")
    draw_creatures(root / "training_data" / "creatures")
    settings = Settings(
        workspace_path=root,
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        hf_hub_offline=True,
        cuda_visible_devices="",
        warm_trainer=False,
    )
    opened = Worker.create(settings)
    opened.start()
    yield opened
    await asyncio.to_thread(opened.close)


async def ask(worker: Worker, kind: str, **fields: Any) -> dict[str, Any]:
    return await worker.answer({"id": "1", "input": {"type": kind, **fields}}, RunPodJob(job_id="1"))


def config(**sample: Any) -> dict[str, Any]:
    process = {
        "type": "sd_trainer",
        "trigger_word": "zorp",
        "network": {"type": "lora", "linear": 2, "linear_alpha": 2},
        "save": {"dtype": "float16", "save_every": 4, "max_step_saves_to_keep": 100},
        "datasets": [{"caption_ext": "txt", "resolution": 64}],
        "train": {"steps": 100_000, "lr": 1e-3, "batch_size": 1, "dtype": "fp32"},
        "model": {"name_or_path": "models/tiny"},
        "sample": {
            "sampler": "ddim",
            "sample_every": 4,
            "sample_steps": 1,
            "width": 64,
            "height": 64,
            "prompts": ["[trigger]", "a box"],
            **sample,
        },
    }
    return {"job": "extension", "config": {"name": "creature", "process": [process]}}


async def test_a_training_ends_by_the_likeness_of_its_own_samples(worker: Worker) -> None:
    answer = await ask(
        worker,
        "train",
        trainer="builtin",
        config=config(),
        dataset={"training_name": "creatures"},
        # No look is twice as good as the first.
        stop_when={
            "no_better": "likeness",
            "patience": 2,
            "min_improvement": 0.99,
            "embedding_model": "models/embedding/dino",
        },
        wait=True,
    )
    assert (answer["status"], answer["reason"]) == ("cancelled", "no_improvement"), answer
    assert answer["reason_detail"].startswith("The likeness was best at step 0 (")
    assert (answer["best_step"], answer["resumable"]) == (0, True)
    curves = await ask(worker, "metrics", process_id=answer["process_id"])
    series = curves["series"]["likeness"]
    assert [step for step, _ in series[:3]] == [0, 4, 8]
    assert all(-1 < value < 1 for _, value in series)
    assert "loss/loss" in curves["series"]
